import type { ReactNode } from 'react';

import type { InstantData, Labels } from '../../api/types';
import { useInstantQuery } from '../../hooks/useRangeQuery';
import { useI18n } from '../../i18n/context';
import { parseSample } from '../../lib/matrix';
import { formatValue } from '../../lib/units';
import { Panel } from '../../parts/Panel';
import { StateMark } from '../../parts/StateMark';
import { hostQueries } from '../../promql/queries';
import classes from './home.module.css';

const WARNING_SHARE = 0.85;
const FAILING_SHARE = 0.95;

interface Filesystem {
  mount: string;
  device: string;
  used: number;
  limit: number;
}

function valuesByMount(data: InstantData | undefined): Map<string, { labels: Labels; value: number }> {
  if (data?.resultType !== 'vector') return new Map();
  return new Map(
    data.result.map(({ metric, value }) => [
      `${metric['system_device']} ${metric['system_filesystem_mountpoint']}`,
      { labels: metric, value: parseSample(value?.[1] ?? 'NaN') },
    ]),
  );
}

function join(used: InstantData | undefined, limit: InstantData | undefined): Filesystem[] {
  const limits = valuesByMount(limit);
  return [...valuesByMount(used)]
    .flatMap(([key, { labels, value }]) => {
      const total = limits.get(key)?.value ?? 0;
      const mount = labels['system_filesystem_mountpoint'] ?? '';
      return total > 0 ? [{ mount, device: labels['system_device'] ?? '', used: value, limit: total }] : [];
    })
    .toSorted((a, b) => b.used / b.limit - a.used / a.limit);
}

function Row({ filesystem }: { filesystem: Filesystem }): ReactNode {
  const { locale, t } = useI18n();
  const { mount, device, used, limit } = filesystem;
  const share = used / limit;
  const state = share >= FAILING_SHARE ? 'failing' : share >= WARNING_SHARE ? 'warning' : 'ok';
  return (
    <li className={classes['filesystem']}>
      <span className={classes['mount']} title={device}>
        <span className="mono">{mount}</span>
      </span>
      <span className={classes['meter']} data-state={state} role="meter" aria-label={mount} aria-valuemin={0} aria-valuemax={100} aria-valuenow={Math.round(share * 100)}>
        <span style={{ width: `${Math.min(100, share * 100)}%` }} />
      </span>
      <span className={`number ${classes['share']}`}>{formatValue(Math.round(share * 100) / 100, 'ratio', locale)}</span>
      <span className={`number dim ${classes['capacity']}`}>
        {t('common.of', { part: formatValue(used, 'bytes', locale), whole: formatValue(limit, 'bytes', locale) })}
      </span>
      <span className={classes['diskState']}>{state !== 'ok' && <StateMark state={state === 'failing' ? 'failing' : 'warning'} />}</span>
    </li>
  );
}

/** How full each file system is, the fullest first. */
export function Filesystems(): ReactNode {
  const { t } = useI18n();
  const used = useInstantQuery(hostQueries.filesystemUsed());
  const limit = useInstantQuery(hostQueries.filesystemLimit());
  const list = join(used.data?.data, limit.data?.data);
  if (list.length === 0) return null;
  return (
    <Panel title={t('home.filesystems')}>
      <ul className={classes['filesystems']}>
        {list.map((filesystem) => (
          <Row key={`${filesystem.device} ${filesystem.mount}`} filesystem={filesystem} />
        ))}
      </ul>
    </Panel>
  );
}
