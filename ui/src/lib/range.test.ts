import { describe, expect, it } from 'vitest';

import {
  alignWindow,
  chooseStep,
  formatLocal,
  formatZone,
  isLive,
  lastRange,
  parseInstant,
  pinnedRange,
  quickRangeOf,
  rateWindow,
  resolveRange,
} from './range';

const NOW = 1_700_000_000_000;

describe('instants', () => {
  it.each([
    ['now', NOW],
    ['now-1h', NOW - 3_600_000],
    ['1699999999000', 1_699_999_999_000],
    ['2023-11-14T22:13:20Z', NOW],
  ])('%s is read', (text, ms) => {
    expect(parseInstant(text, NOW)).toBe(ms);
  });

  it.each(['', 'now+1h', 'now-x', 'yesterday', '12', '2023-99-99'])('%j is refused', (text) => {
    expect(parseInstant(text, NOW)).toBeNull();
  });

  it('a local date and time goes out and comes back', () => {
    expect(parseInstant(formatLocal(NOW), NOW)).toBe(NOW);
  });
});

describe('ranges', () => {
  it('resolve to seconds', () => {
    expect(resolveRange(lastRange('1h'), NOW)).toEqual({ start: 1_699_996_400, end: 1_700_000_000 });
  });

  it('are refused when empty, reversed or unreadable', () => {
    expect(resolveRange({ from: 'now', to: 'now' }, NOW)).toBeNull();
    expect(resolveRange({ from: 'now', to: 'now-1h' }, NOW)).toBeNull();
    expect(resolveRange({ from: 'soon', to: 'now' }, NOW)).toBeNull();
  });

  it('know whether they follow the clock', () => {
    expect(isLive(lastRange('1h'))).toBe(true);
    expect(isLive(pinnedRange(1, 2))).toBe(false);
  });

  it('know their quick name', () => {
    expect(quickRangeOf(lastRange('1h'))).toBe('1h');
    expect(quickRangeOf({ from: 'now-60m', to: 'now' })).toBe('1h');
    expect(quickRangeOf({ from: 'now-x', to: 'now' })).toBeNull();
    expect(quickRangeOf({ from: 'now-2h', to: 'now-1h' })).toBeNull();
  });

  it('pinned by a zoom are never empty', () => {
    expect(pinnedRange(1_700_000_000.2, 1_700_000_000.3)).toEqual({ from: '1700000000000', to: '1700000001000' });
    expect(pinnedRange(1_700_000_000, 1_700_000_000)).toEqual({ from: '1700000000000', to: '1700000001000' });
  });
});

describe('steps', () => {
  it.each([
    [900, 5],
    [3600, 15],
    [86_400, 600],
    [604_800, 3600],
    [31_536_000, 172_800],
  ])('a window of %i s has a step of %i s', (seconds, step) => {
    expect(chooseStep({ start: 0, end: seconds })).toBe(step);
  });

  it('align both ends and keep at least one step', () => {
    expect(alignWindow({ start: 7, end: 22 }, 5)).toEqual({ start: 5, end: 20 });
    expect(alignWindow({ start: 7, end: 8 }, 5)).toEqual({ start: 5, end: 10 });
  });

  it('give rate() four steps and at least two minutes', () => {
    expect(rateWindow(5)).toBe('2m');
    expect(rateWindow(60)).toBe('4m');
    expect(rateWindow(5, 30)).toBe('30s');
  });
});

it.each([
  [0, 'UTC'],
  [180, 'UTC-3'],
  [-330, 'UTC+5:30'],
])('an offset of %i minutes is %s', (offset, text) => {
  expect(formatZone(offset)).toBe(text);
});
