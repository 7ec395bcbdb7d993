import type { InstantData, Labels } from '../api/types';
import { parseSample } from './matrix';

export interface Filesystem {
  mount: string;
  device: string;
  used: number;
  limit: number;
  /** Between 0 and 1. */
  share: number;
  state: 'ok' | 'warning' | 'failing';
}

const WARNING_SHARE = 0.85;
const FAILING_SHARE = 0.95;

function byMount(data: InstantData | undefined): Map<string, { labels: Labels; value: number }> {
  if (data?.resultType !== 'vector') return new Map();
  return new Map(
    data.result.map(({ metric, value }) => [
      `${metric['system_device']} ${metric['system_filesystem_mountpoint']}`,
      { labels: metric, value: parseSample(value?.[1] ?? 'NaN') },
    ]),
  );
}

function stateOf(share: number): Filesystem['state'] {
  if (share >= FAILING_SHARE) return 'failing';
  return share >= WARNING_SHARE ? 'warning' : 'ok';
}

/** What each file system holds of what it can, the fullest first; one without a size is left out. */
export function joinFilesystems(used: InstantData | undefined, limit: InstantData | undefined): Filesystem[] {
  const limits = byMount(limit);
  return [...byMount(used)]
    .flatMap(([key, { labels, value }]) => {
      const total = limits.get(key)?.value ?? 0;
      if (!(total > 0) || Number.isNaN(value)) return [];
      const share = value / total;
      const mount = labels['system_filesystem_mountpoint'] ?? '';
      return [{ mount, device: labels['system_device'] ?? '', used: value, limit: total, share, state: stateOf(share) }];
    })
    .toSorted((a, b) => b.share - a.share);
}
