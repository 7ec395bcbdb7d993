import { expect, it } from 'vitest';

import { isZoomed, rangeBefore } from './history';
import { DEFAULT_RANGE } from './range';

it('only a zoom’s own mark says that back undoes it', () => {
  expect([null, undefined, {}, { zoomed: false }, { zoomed: true }].map(isZoomed)).toEqual([false, false, false, false, true]);
});

it('a pinned range goes back to the default, a live one stays', () => {
  expect(rangeBefore({ from: '1700000000000', to: '1700000001000' })).toBe(DEFAULT_RANGE);
  expect(rangeBefore(DEFAULT_RANGE)).toBeNull();
});
