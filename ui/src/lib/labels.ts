import type { Labels } from '../api/types';

const METRIC = '__name__';

export function escapeLabelValue(value: string): string {
  return value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');
}

function pairs(labels: Labels): [string, string][] {
  return Object.entries(labels)
    .filter(([name]) => name !== METRIC)
    .toSorted(([a], [b]) => (a < b ? -1 : 1));
}

/** `up{job="host"}`: a series as PromQL writes it, labels in alphabetical order. */
export function seriesName(labels: Labels): string {
  const inner = pairs(labels)
    .map(([name, value]) => `${name}="${escapeLabelValue(value)}"`)
    .join(', ');
  const metric = labels[METRIC] ?? '';
  if (inner === '') return metric === '' ? '{}' : metric;
  return `${metric}{${inner}}`;
}

/** Labels that all series of a result share, so that a legend need not repeat them. */
export function commonLabels(all: readonly Labels[]): Labels {
  const [first, ...rest] = all;
  if (first === undefined || rest.length === 0) return {};
  return Object.fromEntries(Object.entries(first).filter(([name, value]) => rest.every((labels) => labels[name] === value)));
}

export function withoutLabels(labels: Labels, dropped: Labels): Labels {
  return Object.fromEntries(Object.entries(labels).filter(([name]) => !(name in dropped)));
}

/** Names for a legend, no two the same. */
export function legendNames(all: readonly Labels[]): string[] {
  const seen = new Map<string, number>();
  return shortNames(all).map((name) => {
    const count = (seen.get(name) ?? 0) + 1;
    seen.set(name, count);
    return count === 1 ? name : `${name} #${count}`;
  });
}

/** Only what tells the series apart; the bare value where one label does. */
function shortNames(all: readonly Labels[]): string[] {
  const common = commonLabels(all);
  const rest = all.map((labels) => withoutLabels(labels, common));
  const names = new Set(rest.flatMap((labels) => Object.keys(labels)));
  const [only] = names;
  if (names.size === 1 && only !== undefined && rest.every((labels) => labels[only])) {
    return rest.map((labels) => labels[only] ?? '');
  }
  return rest.map((labels, index) => (names.size === 0 ? seriesName(all[index] ?? {}) : seriesName(labels)));
}
