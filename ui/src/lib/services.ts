import { type Frame, lastValue } from './matrix';

/** Health in one word; each has its own shape and colour. */
export type State = 'ok' | 'warning' | 'failing' | 'silent' | 'unknown';

export interface Service {
  job: string;
  state: State;
  requests: (number | null)[];
  errorRatio: (number | null)[];
  p95: (number | null)[];
}

/** From these shares of failed requests on a service is degraded, or failing. */
export const WARNING_RATIO = 0.01;
export const FAILING_RATIO = 0.05;

type Row = (number | null)[];

function rowsByJob(frame: Frame | undefined): Map<string, Row> {
  return new Map((frame?.series ?? []).map(({ labels, values }) => [labels['job'] ?? '', values]));
}

/**
 * The share of failed requests at each step. PromQL has no series where no request failed,
 * so traffic without errors is zero here, and no traffic is a gap.
 */
export function errorRatio(requests: Row, errors: Row | undefined): Row {
  return requests.map((total, index) => (total === null || total === 0 ? null : (errors?.[index] ?? 0) / total));
}

export function stateOf(requests: Row, ratio: Row): State {
  const rate = requests.at(-1) ?? null;
  if (rate === null || rate === 0) return lastValue(requests) === null ? 'unknown' : 'silent';
  const failed = lastValue(ratio) ?? 0;
  if (failed >= FAILING_RATIO) return 'failing';
  return failed >= WARNING_RATIO ? 'warning' : 'ok';
}

const ORDER: Record<State, number> = { failing: 0, warning: 1, silent: 2, unknown: 3, ok: 4 };

/** One entry a service from the three queries, what needs eyes first. */
export function joinServices(requests: Frame | undefined, errors: Frame | undefined, p95: Frame | undefined): Service[] {
  const failed = rowsByJob(errors);
  const slow = rowsByJob(p95);
  return [...rowsByJob(requests)]
    .filter(([job]) => job !== '')
    .map(([job, row]) => {
      const ratio = errorRatio(row, failed.get(job));
      return { job, state: stateOf(row, ratio), requests: row, errorRatio: ratio, p95: slow.get(job) ?? row.map(() => null) };
    })
    .toSorted((a, b) => ORDER[a.state] - ORDER[b.state] || a.job.localeCompare(b.job));
}
