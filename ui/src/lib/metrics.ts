import type { MetadataByMetric } from '../api/types';

export interface MetricEntry {
  name: string;
  type: string;
  help: string;
}

/** Suffixes of the series that one histogram or summary is stored as; metadata knows only the stem. */
const SUFFIX = /_(bucket|count|sum|total)$/;

/** Names of series joined with what metadata says of them or of the metric that they belong to. */
export function listMetrics(names: readonly string[], metadata: MetadataByMetric): MetricEntry[] {
  return names.map((name) => {
    const entry = (metadata[name] ?? metadata[name.replace(SUFFIX, '')])?.[0];
    return { name, type: entry?.type ?? '', help: entry?.help ?? '' };
  });
}

/** The query to begin with for a metric: what a reader would write next anyway. */
export function starterQuery({ name, type }: MetricEntry): string {
  if (name.endsWith('_bucket')) return `histogram_quantile(0.95, sum by (le) (rate(${name}[5m])))`;
  if (type === 'counter' || /_(total|count|sum)$/.test(name)) return `rate(${name}[5m])`;
  return name;
}
