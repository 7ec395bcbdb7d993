import { expect, it } from 'vitest';

import { matchRank, searchItems } from './search';

const NAMES = ['go_threads', 'process_cpu_seconds_total', 'system_cpu_time_seconds_total', 'up'];
const search = (query: string, limit?: number): string[] => searchItems(NAMES, query, (name) => name, limit);

it('an empty query keeps everything in order', () => {
  expect(search(' ')).toEqual(NAMES);
  expect(search('', 1)).toEqual(['go_threads']);
});

it('every word must occur, in any order and case', () => {
  expect(search('TIME cpu')).toEqual(['system_cpu_time_seconds_total']);
  expect(search('cpu memory')).toEqual([]);
});

it('the start of a word beats its middle', () => {
  expect(matchRank('a_cpu', 'cpu')).toBeLessThan(matchRank('acpu', 'cpu') ?? 0);
  expect(search('cpu', 1)).toEqual(['system_cpu_time_seconds_total']);
});
