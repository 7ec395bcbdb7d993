import { EqlRegex, EqlSingle } from '@prometheus-io/lezer-promql';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import { Cache, CompletionClient, selectorOf } from './completion';

describe('the cache', () => {
  it('asks once a minute', async () => {
    let now = 0;
    let calls = 0;
    const cache = new Cache(() => now);
    const load = async (): Promise<number> => (calls += 1);
    expect(await cache.get('a', load)).toBe(1);
    expect(await cache.get('a', load)).toBe(1);
    now = 60_000;
    expect(await cache.get('a', load)).toBe(2);
  });

  it('forgets a failure', async () => {
    const cache = new Cache(() => 0);
    await expect(cache.get('a', () => Promise.reject(new Error('x')))).rejects.toThrow('x');
    expect(await cache.get('a', async () => 'fine')).toBe('fine');
  });
});

it('a selector holds the matchers that are complete', () => {
  expect(selectorOf(undefined)).toEqual([]);
  expect(selectorOf('up')).toEqual(['up']);
  const job = { type: EqlSingle, name: 'job', value: 'a' };
  const open = { type: EqlSingle, name: 'instance', value: '' };
  const pattern = { type: EqlRegex, name: 'path', value: '/a.*' };
  expect(selectorOf('up', [job, open, pattern])).toEqual(['up{job="a"}']);
  expect(selectorOf('', [job])).toEqual(['{job="a"}']);
});

describe('completion', () => {
  beforeEach(() => {
    vi.stubGlobal('location', { pathname: '/', href: 'http://host/' });
  });
  afterEach(() => {
    vi.unstubAllGlobals();
  });

  it('reads names, values, metadata and series', async () => {
    vi.stubGlobal('fetch', async (url: string) =>
      Response.json({ status: 'success', data: url.includes('/series') ? [{ job: 'a' }] : url.includes('metadata') ? {} : [url] }),
    );
    const client = new CompletionClient();
    expect(await client.metricNames()).toEqual(['/api/v1/label/__name__/values']);
    expect(await client.labelNames('up')).toEqual(['/api/v1/labels?match%5B%5D=up']);
    expect(await client.metricMetadata()).toEqual({});
    expect(await client.series('up')).toEqual([new Map([['job', 'a']])]);
    expect(await client.flags()).toEqual({});
  });

  it('offers nothing when the server fails', async () => {
    vi.stubGlobal('fetch', () => Promise.reject(new TypeError('down')));
    const client = new CompletionClient();
    expect(await client.metricNames()).toEqual([]);
    expect(await client.series('up')).toEqual([]);
  });
});
