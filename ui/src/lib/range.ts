import { formatDuration, parseDuration } from './duration';

/** A time range as a link carries it: `now-1h`/`now`, or milliseconds since the epoch as digits. */
export interface TimeRange {
  from: string;
  to: string;
}

/** A range with both ends known, in seconds as Prometheus's API takes them. */
export interface Window {
  start: number;
  end: number;
}

export const DEFAULT_RANGE: TimeRange = { from: 'now-15m', to: 'now' };

export const QUICK_RANGES = ['5m', '15m', '30m', '1h', '3h', '6h', '12h', '1d', '2d', '7d', '30d'] as const;

/** Milliseconds since the epoch of `now-1h`, `1700000000000` or an ISO date; null when it is none of them. */
export function parseInstant(text: string, nowMs: number): number | null {
  const trimmed = text.trim();
  if (trimmed === 'now') return nowMs;
  if (trimmed.startsWith('now-')) {
    const ago = parseDuration(trimmed.slice(4));
    return ago === null ? null : nowMs - ago;
  }
  if (/^\d{9,15}$/.test(trimmed)) return Number(trimmed);
  if (!/^\d{4}-\d{2}-\d{2}/.test(trimmed)) return null;
  const date = Date.parse(trimmed.replace(' ', 'T'));
  return Number.isNaN(date) ? null : date;
}

/** Both ends of a range; null when an end cannot be read or the range is empty. */
export function resolveRange(range: TimeRange, nowMs: number): Window | null {
  const from = parseInstant(range.from, nowMs);
  const to = parseInstant(range.to, nowMs);
  if (from === null || to === null || from >= to) return null;
  return { start: from / 1000, end: to / 1000 };
}

/** Whether a range moves with the clock, so that refreshing it makes sense. */
export function isLive(range: TimeRange): boolean {
  return range.to.trim().startsWith('now');
}

/** The `1h` of `now-1h` to `now`, else null. */
export function quickRangeOf(range: TimeRange): string | null {
  if (range.to !== 'now' || !range.from.startsWith('now-')) return null;
  const ms = parseDuration(range.from.slice(4));
  return ms === null ? null : formatDuration(ms);
}

export function lastRange(duration: string): TimeRange {
  return { from: `now-${duration}`, to: 'now' };
}

/** A range pinned to two moments, as a zoom makes it. Seconds are rounded outwards so that a click never gives nothing. */
export function pinnedRange(startSeconds: number, endSeconds: number): TimeRange {
  const from = Math.floor(startSeconds);
  const to = Math.max(Math.ceil(endSeconds), from + 1);
  return { from: String(from * 1000), to: String(to * 1000) };
}

const STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400];

/** The smallest round step, in seconds, that keeps a window within `maxPoints`. */
export function chooseStep(window: Window, maxPoints = 240): number {
  const wanted = (window.end - window.start) / maxPoints;
  return STEPS.find((step) => step >= wanted) ?? Math.ceil(wanted / 86_400) * 86_400;
}

/** The window with both ends on multiples of the step, so that a refresh moves points instead of wobbling them. */
export function alignWindow(window: Window, step: number): Window {
  const start = Math.floor(window.start / step) * step;
  const end = Math.floor(window.end / step) * step;
  return { start, end: Math.max(end, start + step) };
}

/** Twice the slowest scrape interval that is common, so that `rate()` always finds two samples. */
const SAFE_SECONDS = 120;

/** How far back `rate()` looks: four steps, and no less than `atLeast` seconds. */
export function rateWindow(step: number, atLeast = SAFE_SECONDS): string {
  return formatDuration(Math.max(atLeast, step * 4) * 1000);
}

const pad = (value: number): string => String(value).padStart(2, '0');

/** `2026-11-21 03:56:10` in local time: the form that the range inputs take back. */
export function formatLocal(ms: number): string {
  const date = new Date(ms);
  const day = `${date.getFullYear()}-${pad(date.getMonth() + 1)}-${pad(date.getDate())}`;
  return `${day} ${pad(date.getHours())}:${pad(date.getMinutes())}:${pad(date.getSeconds())}`;
}

/** The local zone as an offset: `UTC`, `UTC-3`, `UTC+5:30`. */
export function formatZone(offsetMinutes: number): string {
  if (offsetMinutes === 0) return 'UTC';
  const sign = offsetMinutes > 0 ? '-' : '+';
  const hours = Math.floor(Math.abs(offsetMinutes) / 60);
  const minutes = Math.abs(offsetMinutes) % 60;
  return `UTC${sign}${hours}${minutes === 0 ? '' : `:${pad(minutes)}`}`;
}
