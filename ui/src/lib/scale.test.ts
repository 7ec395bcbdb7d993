import { expect, it } from 'vitest';

import { valueRange } from './scale';

it('starts at zero where the data come near it', () => {
  const [low, high] = valueRange(1, 10, 'number');
  expect(low).toBe(0);
  expect(high).toBeCloseTo(11);
});

it('a flat line stands in the air', () => {
  expect(valueRange(5, 5, 'number')).toEqual([0, 5.5]);
  expect(valueRange(0, 0, 'bytes/s')).toEqual([0, 1024]);
  expect(valueRange(null, null, 'number')).toEqual([0, 1]);
});

it('far from zero it closes in', () => {
  const [low, high] = valueRange(95, 100, 'number');
  expect(low).toBeCloseTo(94.5);
  expect(high).toBeCloseTo(100.5);
});

it('negative values have room below', () => {
  expect(valueRange(-10, 10, 'number')).toEqual([-12, 12]);
  expect(valueRange(-10, -1, 'number')).toEqual([-11, 0]);
});

it('a fixed top holds unless the data pass it', () => {
  expect(valueRange(0, 0.2, 'ratio', 1)).toEqual([0, 1]);
  expect(valueRange(0, 1.2, 'ratio', 1)).toEqual([0, 1.2]);
});
