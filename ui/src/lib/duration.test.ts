import { describe, expect, it } from 'vitest';

import { formatAge, formatDuration, parseDuration } from './duration';

describe('durations', () => {
  it.each([
    ['15m', 900_000],
    ['1h30m', 5_400_000],
    ['250ms', 250],
    ['1d', 86_400_000],
    ['2w', 1_209_600_000],
  ])('%s is %i ms', (text, ms) => {
    expect(parseDuration(text)).toBe(ms);
  });

  it.each(['', 'x', '1', '5m1h', '-5m', '1.5h'])('%j is no duration', (text) => {
    expect(parseDuration(text)).toBeNull();
  });

  it.each([1, 999, 15_000, 90_000, 5_400_000, 86_400_000, 604_800_000])('%i ms survives a round trip', (ms) => {
    expect(parseDuration(formatDuration(ms))).toBe(ms);
  });

  it('has a word for nothing', () => {
    expect(formatDuration(0)).toBe('0s');
  });

  it.each([
    [-5000, '0s'],
    [4200, '4s'],
    [61_000, '1m'],
    [3_600_000, '1h'],
    [3_900_000, '1h 5m'],
    [86_400_000, '1d'],
    [100_000_000, '1d 3h'],
  ])('%i ms ago reads %s', (ms, text) => {
    expect(formatAge(ms)).toBe(text);
  });
});
