import { describe, expect, it } from 'vitest';

import type { ActiveTarget } from '../api/types';
import type { Frame } from './matrix';
import { errorRatio, joinServices, stateOf } from './services';
import { countHealth, groupTargets, scrapeAge } from './targets';

const frame = (rows: Record<string, (number | null)[]>): Frame => ({
  times: [1, 2],
  series: Object.entries(rows).map(([job, values]) => ({ labels: { job }, values })),
});

const target = (scrapePool: string, port: number, health: string, lastError = ''): ActiveTarget => ({
  discoveredLabels: {},
  labels: { job: scrapePool, instance: `h:${port}` },
  scrapePool,
  scrapeUrl: `http://h:${port}/metrics`,
  lastError,
  lastScrape: '2026-01-01T00:00:00Z',
  lastScrapeDuration: 0.1,
  health,
});

describe('services', () => {
  it('without a failed request have a ratio of zero, not nothing', () => {
    expect(errorRatio([2, 4], undefined)).toEqual([0, 0]);
    expect(errorRatio([2, 4], [null, 1])).toEqual([0, 0.25]);
  });

  it('without traffic have no ratio', () => {
    expect(errorRatio([0, null], [0, 0])).toEqual([null, null]);
  });

  it.each([
    [[1, 1], [0, 0], 'ok'],
    [[1, 1], [0, 0.01], 'warning'],
    [[1, 1], [0, 0.05], 'failing'],
    [[1, 0], [0, null], 'silent'],
    [[1, null], [0, null], 'silent'],
    [[null, null], [null, null], 'unknown'],
  ])('with requests %j and ratio %j are %s', (requests, ratio, state) => {
    expect(stateOf(requests, ratio)).toBe(state);
  });

  it('are joined by job, the failing first', () => {
    const services = joinServices(frame({ a: [1, 1], b: [1, 1], '': [1, 1] }), frame({ b: [0, 1] }), frame({ a: [0.1, 0.2] }));
    expect(services.map((service) => [service.job, service.state, service.p95])).toEqual([
      ['b', 'failing', [null, null]],
      ['a', 'ok', [0.1, 0.2]],
    ]);
    expect(joinServices(undefined, undefined, undefined)).toEqual([]);
  });

  it('of equal state are in alphabetical order', () => {
    expect(joinServices(frame({ b: [1, 1], a: [1, 1] }), undefined, undefined).map((s) => s.job)).toEqual(['a', 'b']);
  });
});

describe('targets', () => {
  const all = [target('node', 1, 'up'), target('api', 2, 'up'), target('api', 3, 'down', 'refused'), target('new', 4, 'later')];

  it('are counted by state', () => {
    expect(countHealth(all)).toEqual({ all: 4, up: 2, down: 1, unknown: 1 });
  });

  it('are grouped by pool, trouble first', () => {
    const groups = groupTargets(all, '', 'all');
    expect(groups.map((group) => [group.pool, group.up, group.targets.map((t) => t.health)])).toEqual([
      ['api', 1, ['down', 'up']],
      ['new', 0, ['later']],
      ['node', 1, ['up']],
    ]);
  });

  it('are found by label, address and error, and by state', () => {
    expect(groupTargets(all, 'job=node', 'all').map((g) => g.pool)).toEqual(['node']);
    expect(groupTargets(all, 'refused', 'all')[0]?.targets).toHaveLength(1);
    expect(groupTargets(all, '', 'unknown').map((g) => g.pool)).toEqual(['new']);
    expect(groupTargets(all, 'node', 'down')).toEqual([]);
  });

  it('of one pool and state are ordered by address', () => {
    const urls = groupTargets([target('a', 9, 'up'), target('a', 1, 'up')], '', 'all')[0]?.targets.map((t) => t.scrapeUrl);
    expect(urls).toEqual(['http://h:1/metrics', 'http://h:9/metrics']);
  });

  it('know when they were scraped, or that they never were', () => {
    expect(scrapeAge('2026-01-01T00:00:00Z', Date.parse('2026-01-01T00:00:05Z'))).toBe(5000);
    expect(scrapeAge('0001-01-01T00:00:00Z', 0)).toBeNull();
    expect(scrapeAge('', 0)).toBeNull();
  });
});
