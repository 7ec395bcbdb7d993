import { describe, expect, it } from 'vitest';

import { commonLabels, legendNames, seriesName, withoutLabels } from './labels';
import { gridOf, largestSeries, lastValue, matcher, orderRows, parseSample, stackRows, toFrame, toRows, withoutFlatZeros } from './matrix';

describe('series names', () => {
  it('are what PromQL would take', () => {
    expect(seriesName({ __name__: 'up', job: 'a', instance: 'b' })).toBe('up{instance="b", job="a"}');
    expect(seriesName({ __name__: 'up' })).toBe('up');
    expect(seriesName({ a: 'x"y\\z\n' })).toBe('{a="x\\"y\\\\z\\n"}');
    expect(seriesName({})).toBe('{}');
  });

  it('in a legend leave out what all share', () => {
    const all = [
      { __name__: 'm', job: 'a', mode: 'user' },
      { __name__: 'm', job: 'a', mode: 'idle' },
    ];
    expect(commonLabels(all)).toEqual({ __name__: 'm', job: 'a' });
    expect(withoutLabels(all[0] ?? {}, commonLabels(all))).toEqual({ mode: 'user' });
    expect(legendNames(all)).toEqual(['user', 'idle']);
  });

  it('in a legend keep label names where more than one differs', () => {
    expect(legendNames([{ a: '1', b: '1' }, { a: '2', b: '2' }])).toEqual(['{a="1", b="1"}', '{a="2", b="2"}']);
  });

  it('of a single series stay whole', () => {
    expect(legendNames([{ __name__: 'up', job: 'a' }])).toEqual(['up{job="a"}']);
    expect(commonLabels([])).toEqual({});
  });

  it('of equal series are told apart by number', () => {
    expect(legendNames([{ a: '1' }, { a: '1' }])).toEqual(['{a="1"}', '{a="1"} #2']);
  });
});

describe('frames', () => {
  const range = { start: 100, end: 130, step: 10 };

  it('put samples on the grid and leave gaps where none came', () => {
    const frame = toFrame([{ metric: { a: 'b' }, values: [[100, '1'], [120, '3'], [130, 'NaN']] }], range);
    expect(frame).toEqual({ times: [100, 110, 120, 130], series: [{ labels: { a: 'b' }, values: [1, null, 3, null] }] });
  });

  it('ignore samples outside of the grid and native histograms', () => {
    expect(toFrame([{ metric: {}, values: [[90, '1'], [140, '2']] }], range).series[0]?.values).toEqual([null, null, null, null]);
    expect(toFrame([{ metric: {}, histograms: [] }], range).series[0]?.values).toEqual([null, null, null, null]);
  });

  it('have a grid that does not drift', () => {
    const grid = gridOf(0, 100, 0.1);
    expect(grid).toHaveLength(1001);
    expect(grid.at(-1)).toBeCloseTo(100, 9);
    expect(gridOf(10, 0, 1)).toEqual([]);
  });

  it('know their last value', () => {
    expect(lastValue([1, 2, null])).toBe(2);
    expect(lastValue([null])).toBeNull();
  });

  it('keep the largest series in their order', () => {
    const series = [1, 3, null, 2].map((value, index) => ({ labels: { n: String(index) }, values: [value] }));
    expect(largestSeries({ times: [0], series }, 2).series.map(({ labels }) => labels['n'])).toEqual(['1', '3']);
    expect(largestSeries({ times: [0], series }, 9).series).toBe(series);
  });

  it('leave out flat zeros where something else is left', () => {
    const flat = { labels: { n: 'flat' }, values: [0, null] };
    const busy = { labels: { n: 'busy' }, values: [0, 1] };
    expect(withoutFlatZeros({ times: [0, 1], series: [flat, busy] }).series).toEqual([busy]);
    expect(withoutFlatZeros({ times: [0, 1], series: [flat] }).series).toEqual([flat]);
  });

  it('stack from the bottom, around gaps', () => {
    expect(stackRows([[1, null, null], [2, 2, null]])).toEqual([[1, null, null], [3, 2, null]]);
    expect(stackRows([])).toEqual([]);
  });
});

describe('tables', () => {
  it('show any kind of result', () => {
    expect(toRows({ resultType: 'scalar', result: [1, '+Inf'] })[0]?.value).toBe(Infinity);
    expect(toRows({ resultType: 'string', result: [1, 'hi'] })[0]?.value).toBe('hi');
    expect(toRows({ resultType: 'vector', result: [{ metric: { __name__: 'up' }, value: [1, '1'] }] })).toEqual([
      { name: 'up', labels: { __name__: 'up' }, value: 1 },
    ]);
    expect(toRows({ resultType: 'vector', result: [{ metric: {}, histogram: {} }] })[0]?.value).toBe('histogram');
    expect(toRows({ resultType: 'matrix', result: [{ metric: {}, values: [[1, '2'], [2, '3']] }] })[0]?.value).toBe('2 @1\n3 @2');
    expect(toRows({ resultType: 'matrix', result: [{ metric: {} }] })[0]?.value).toBe('');
  });
});

describe('rows', () => {
  const values: [string, number | string][] = [['a', 1], ['n', NaN], ['c', 3], ['b', 3], ['t', 'text']];
  const rows = values.map(([name, value]) => ({ name, labels: {}, value }));
  const names = (expression: string): string => orderRows(rows, expression).map(({ name }) => name).join('');

  it('come largest first', () => {
    expect(names('up')).toBe('bcant');
  });

  it('keep the order that the query asked for', () => {
    expect(names(' sort(up)')).toBe('ancbt');
    expect(names('topk(3, up)')).toBe('ancbt');
  });
});

it('samples have PromQL’s words for infinity', () => {
  expect([parseSample('+Inf'), parseSample('Inf'), parseSample('-Inf'), parseSample('1e3')]).toEqual([Infinity, Infinity, -Infinity, 1000]);
});

it('a matcher escapes its value', () => {
  expect(matcher('job', 'a"b')).toBe('job="a\\"b"');
});
