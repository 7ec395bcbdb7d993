import { describe, expect, it } from 'vitest';

import { type Unit, formatExact, formatQuantity, formatTicks, formatValue, scaleFor, tickIncrements } from './units';

const NBSP = '\u00a0';

describe('values', () => {
  it.each<[number, Unit, string]>([
    [0, 'bytes', '0 B'],
    [1024, 'bytes', '1 KiB'],
    [1_610_612_736, 'bytes', '1.5 GiB'],
    [1_480_000, 'bytes/s', '1.41 MiB/s'],
    [0.0123, 'ratio', '1.23 %'],
    [0, 'ratio', '0 %'],
    [0.000_789, 'ratio', '0.08 %'],
    [0.5, 'seconds', '500 ms'],
    [0.000_012, 'seconds', '12 µs'],
    [3e-8, 'seconds', '30 ns'],
    [2.34567, 'seconds', '2.35 s'],
    [600, 'seconds', '10 min'],
    [7300, 'seconds', '2.03 h'],
    [864_000, 'seconds', '10 d'],
    [0, 'seconds', '0 s'],
    [1234, 'requests/s', '1.23 kreq/s'],
    [12.345, 'requests/s', '12.3 req/s'],
    [5, 'per second', '5 /s'],
    [0.05, 'requests/s', '0.05 req/s'],
  ])('%d %s reads %s', (value, unit, text) => {
    expect(formatValue(value, unit)).toBe(text.replace(' ', NBSP));
  });

  it('bare numbers carry their prefix without a space', () => {
    expect(formatValue(1_234_567, 'number')).toBe('1.23M');
    expect(formatValue(42, 'number')).toBe('42');
  });

  it('very small numbers switch to powers of ten', () => {
    expect(formatValue(0.000_01, 'number')).toBe('1.0e-5');
  });

  it('samples that are no number have their PromQL names', () => {
    expect(formatValue(NaN, 'number')).toBe('NaN');
    expect(formatQuantity(Infinity, 'bytes').text).toBe('+Inf');
    expect(formatQuantity(-Infinity, 'number').text).toBe('-Inf');
  });

  it('follow the reader’s language', () => {
    expect(formatValue(1.5, 'seconds', 'pt-BR')).toBe(`1,5${NBSP}s`);
  });

  it('timestamps read as dates', () => {
    expect(formatValue(1_700_000_000, 'timestamp')).toContain('2023');
    expect(formatValue(1e300, 'timestamp')).toBe('1e+300');
  });

  it('tables keep every digit', () => {
    expect(formatExact(0.123456789)).toBe('0.123456789');
    expect(formatExact(1e-9)).toBe('1e-9');
    expect(formatExact(0)).toBe('0');
    expect(formatExact(NaN)).toBe('NaN');
  });
});

describe('axis ticks', () => {
  it('share one prefix and the same decimals', () => {
    const mib = 1024 ** 2;
    expect(formatTicks([0, 0.5 * mib, mib], 'bytes')).toEqual({ labels: ['0.0', '0.5', '1.0'], unit: 'MiB' });
  });

  it('a single tick still gets a label', () => {
    expect(formatTicks([0.25], 'ratio')).toEqual({ labels: ['25'], unit: '%' });
    expect(formatTicks([0], 'number')).toEqual({ labels: ['0'], unit: '' });
  });

  it('thirds do not run off the axis', () => {
    expect(formatTicks([0, 1 / 3], 'number').labels[1]).toHaveLength(8);
  });

  it('increments are round in the unit', () => {
    expect(tickIncrements('bytes')).toContain(200 * 1024 ** 2);
    expect(tickIncrements('seconds')).toContain(300);
    expect(tickIncrements('number')).toContain(2.5);
  });

  it.each<Unit>(['bytes', 'seconds', 'number'])('increments of %s rise', (unit) => {
    const steps = tickIncrements(unit);
    expect(steps).toEqual(steps.toSorted((a, b) => a - b));
  });

  it('scales stop at their largest prefix', () => {
    expect(scaleFor(1e30, 'number').unit).toBe('T');
    expect(scaleFor(1, 'timestamp').factor).toBe(1);
  });
});
