/** The shapes of Prometheus's HTTP API v1, as far as this page reads them. */

export type Labels = Readonly<Record<string, string>>;

/** Seconds since the epoch and the value as text, because JSON has no NaN or Inf. */
export type RawSample = [time: number, value: string];

export interface RawVector {
  metric: Labels;
  value?: RawSample;
  histogram?: unknown;
}

export interface RawMatrix {
  metric: Labels;
  values?: RawSample[];
  histograms?: unknown[];
}

export type InstantData =
  | { resultType: 'vector'; result: RawVector[] }
  | { resultType: 'matrix'; result: RawMatrix[] }
  | { resultType: 'scalar'; result: RawSample }
  | { resultType: 'string'; result: RawSample };

export interface RangeData {
  resultType: 'matrix';
  result: RawMatrix[];
}

/** A result with what the engine had to remark about it. */
export interface Annotated<T> {
  data: T;
  warnings: string[];
  infos: string[];
}

export interface MetricMetadata {
  type: string;
  help: string;
  unit: string;
}

export type MetadataByMetric = Record<string, MetricMetadata[]>;

export interface ActiveTarget {
  discoveredLabels: Labels;
  labels: Labels;
  scrapePool: string;
  scrapeUrl: string;
  lastError: string;
  lastScrape: string;
  lastScrapeDuration: number;
  health: string;
  scrapeInterval?: string;
  scrapeTimeout?: string;
}

export interface TargetsData {
  activeTargets: ActiveTarget[];
  droppedTargetCounts?: Record<string, number> | null;
}

export interface Session {
  name: string;
  rights: readonly string[];
  signedIn: boolean;
}

export interface BuildInfo {
  version: string;
  revision?: string;
}
