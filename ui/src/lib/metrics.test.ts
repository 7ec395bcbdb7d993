import { expect, it } from 'vitest';

import { listMetrics, starterQuery } from './metrics';

it('series of a histogram get its help', () => {
  const metadata = { a_seconds: [{ type: 'histogram', help: 'How long.', unit: '' }] };
  expect(listMetrics(['a_seconds_bucket', 'b'], metadata)).toEqual([
    { name: 'a_seconds_bucket', type: 'histogram', help: 'How long.' },
    { name: 'b', type: '', help: '' },
  ]);
});

it.each([
  ['a_total', 'counter', 'rate(a_total[5m])'],
  ['a_seconds_count', 'histogram', 'rate(a_seconds_count[5m])'],
  ['a_seconds_bucket', 'histogram', 'histogram_quantile(0.95, sum by (le) (rate(a_seconds_bucket[5m])))'],
  ['a', 'counter', 'rate(a[5m])'],
  ['a_bytes', 'gauge', 'a_bytes'],
])('%s, a %s, begins as %s', (name, type, query) => {
  expect(starterQuery({ name, type, help: '' })).toBe(query);
});
