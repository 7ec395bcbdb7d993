import { expect, it } from 'vitest';

import { formatMoment, formatTimeTicks } from './timeTicks';

const at = (hour: number, minute = 0, second = 0): number => new Date(2026, 10, 21, hour, minute, second).getTime() / 1000;

it('ticks of seconds show seconds, of minutes do not', () => {
  expect(formatTimeTicks([at(14, 3, 20)], 10, 'en')).toEqual(['14:03:20']);
  expect(formatTimeTicks([at(14, 3)], 60, 'en')).toEqual(['14:03']);
});

it('midnight and whole days show the date', () => {
  expect(formatTimeTicks([at(0), at(6)], 21_600, 'en')).toEqual(['Nov 21', '06:00']);
  expect(formatTimeTicks([at(12)], 86_400, 'en')).toEqual(['Nov 21']);
});

it('a moment of another day carries its date', () => {
  expect(formatMoment(at(9, 5), at(12) * 1000, 'en')).toBe('09:05:00');
  expect(formatMoment(at(9, 5), (at(12) + 86_400) * 1000, 'en')).toBe('Nov 21 09:05:00');
});
