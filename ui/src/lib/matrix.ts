import type { InstantData, Labels, RawMatrix } from '../api/types';
import { escapeLabelValue, seriesName } from './labels';

/** Series on one grid of times: what a chart draws. A null is a gap. */
export interface Frame {
  times: number[];
  series: { labels: Labels; values: (number | null)[] }[];
}

/** A sample's text as a number; PromQL writes what JSON cannot as words. */
export function parseSample(text: string): number {
  if (text === '+Inf' || text === 'Inf') return Infinity;
  if (text === '-Inf') return -Infinity;
  return Number(text);
}

/** The grid `start, start + step, ... end`. Computed by index because adding a fraction 200 times drifts. */
export function gridOf(start: number, end: number, step: number): number[] {
  const count = Math.max(0, Math.floor((end - start) / step + 1e-6) + 1);
  return Array.from({ length: count }, (_, index) => start + index * step);
}

/** Puts each series on the grid of the query; a step without a finite sample is a gap. */
export function toFrame(result: readonly RawMatrix[], range: { start: number; end: number; step: number }): Frame {
  const times = gridOf(range.start, range.end, range.step);
  const series = result.map(({ metric, values }) => {
    const row: (number | null)[] = times.map(() => null);
    for (const [time, text] of values ?? []) {
      const index = Math.round((time - range.start) / range.step);
      const value = parseSample(text);
      if (index >= 0 && index < row.length && Number.isFinite(value)) row[index] = value;
    }
    return { labels: metric, values: row };
  });
  return { times, series };
}

export function lastValue(values: readonly (number | null)[]): number | null {
  return values.findLast((value) => value !== null) ?? null;
}

/** The series with the largest latest values, in their old order; a chart of thousands tells nothing. */
export function largestSeries(frame: Frame, count: number): Frame {
  if (frame.series.length <= count) return frame;
  const size = (index: number): number => lastValue(frame.series[index]?.values ?? []) ?? -Infinity;
  const kept = new Set([...frame.series.keys()].toSorted((a, b) => size(b) - size(a)).slice(0, count));
  return { times: frame.times, series: frame.series.filter((_, index) => kept.has(index)) };
}

/** Without the series that are zero throughout: in a stack they are a name without an area. At least one is kept. */
export function withoutFlatZeros(frame: Frame): Frame {
  const some = frame.series.filter(({ values }) => values.some((value) => value !== null && value !== 0));
  return some.length === 0 ? frame : { times: frame.times, series: some };
}

/** Adds up rows from the bottom; a gap in one row leaves the others standing, and a gap in all is a gap. */
export function stackRows(rows: readonly (readonly (number | null)[])[]): (number | null)[][] {
  const sums: (number | null)[] = (rows[0] ?? []).map(() => null);
  return rows.map((row) =>
    row.map((value, index) => {
      if (value !== null) sums[index] = (sums[index] ?? 0) + value;
      return value === null ? null : (sums[index] ?? null);
    }),
  );
}

export interface TableRow {
  name: string;
  labels: Labels;
  /** One value, or every sample of a range vector as text. */
  value: number | string;
}

/** Any instant result as rows of a table. */
export function toRows(data: InstantData): TableRow[] {
  switch (data.resultType) {
    case 'scalar':
      return [{ name: 'scalar', labels: {}, value: parseSample(data.result[1]) }];
    case 'string':
      return [{ name: 'string', labels: {}, value: data.result[1] }];
    case 'vector':
      return data.result.map(({ metric, value }) => ({
        name: seriesName(metric),
        labels: metric,
        value: value === undefined ? 'histogram' : parseSample(value[1]),
      }));
    case 'matrix':
      return data.result.map(({ metric, values }) => ({
        name: seriesName(metric),
        labels: metric,
        value: (values ?? []).map(([time, text]) => `${text} @${time}`).join('\n'),
      }));
  }
}

/** Largest first, unless the query itself put its result in order. */
export function orderRows(rows: readonly TableRow[], expression: string): TableRow[] {
  if (/^\s*(sort|topk|bottomk)/.test(expression)) return [...rows];
  const size = ({ value }: TableRow): number => (typeof value === 'number' && !Number.isNaN(value) ? value : -Infinity);
  return rows.toSorted((a, b) => size(b) - size(a) || a.name.localeCompare(b.name));
}

/** `job="shop"`: one equality matcher. */
export function matcher(label: string, value: string): string {
  return `${label}="${escapeLabelValue(value)}"`;
}
