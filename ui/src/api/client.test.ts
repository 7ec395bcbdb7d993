import { afterEach, describe, expect, it, vi } from 'vitest';

import { apiRoot, encodeParams, request } from './client';
import { ApiError, isAbort, kindOf, positionIn, toApiError } from './errors';
import {
  fetchBuildInfo,
  fetchLabelNames,
  fetchLabelValues,
  fetchMetadata,
  fetchSeries,
  fetchSession,
  fetchTargets,
  queryInstant,
  queryRange,
} from './prometheus';

interface Call {
  url: string;
  init: RequestInit & { body?: URLSearchParams };
}

/** Puts a server with one answer in place of the network and records what it was asked. */
function serve(answer: () => Response | Promise<Response>): Call[] {
  const calls: Call[] = [];
  vi.stubGlobal('location', { pathname: '/explore', href: 'http://host:8503/explore' });
  vi.stubGlobal('fetch', async (url: string, init: Call['init']) => {
    calls.push({ url, init });
    return answer();
  });
  return calls;
}

const ok = (data: unknown, more: object = {}): Response => Response.json({ status: 'success', data, ...more });

afterEach(() => {
  vi.unstubAllGlobals();
});

describe('the API root', () => {
  it.each([
    ['/', '/api/v1/'],
    ['/explore', '/api/v1/'],
    ['/mirante/explore', '/mirante/api/v1/'],
    ['/mirante/', '/mirante/api/v1/'],
  ])('of a page at %s is %s', (pathname, root) => {
    expect(apiRoot(pathname)).toBe(root);
  });
});

it('lists become repeated parameters and undefined ones are left out', () => {
  expect(encodeParams({ 'match[]': ['a', 'b'], time: 1, step: undefined }).toString()).toBe('match%5B%5D=a&match%5B%5D=b&time=1');
});

describe('requests', () => {
  it('that need a token lead to the form, and from there back', async () => {
    serve(() => Response.json({ status: 'error', errorType: 'unauthorized', error: 'a token is needed' }, { status: 401 }));
    const asked = await new Promise<string>((resolve) => {
      vi.stubGlobal('location', { pathname: '/m/explore', search: '?q=up&from=1', href: 'http://host:8503/m/explore', assign: resolve });
      void request('labels');
    });
    expect(asked).toBe('/m/login?next=%2Fm%2Fexplore%3Fq%3Dup%26from%3D1');
  });

  it('give back data with warnings and infos', async () => {
    serve(() => ok([1], { warnings: ['w'], infos: ['i'] }));
    expect(await request('labels')).toEqual({ data: [1], warnings: ['w'], infos: ['i'] });
  });

  it('carry the server’s sentence and the position in it', async () => {
    const error = '1:5: parse error: unexpected <by>';
    serve(() => Response.json({ status: 'error', errorType: 'bad_data', error }, { status: 400 }));
    await expect(request('query')).rejects.toMatchObject({ kind: 'query', message: error, position: { line: 1, column: 5 } });
  });

  it('say so when an error has no sentence', async () => {
    serve(() => Response.json({ status: 'error' }, { status: 503 }));
    await expect(request('query')).rejects.toMatchObject({ kind: 'server', message: 'The server answered 503.' });
  });

  it('name the status when the body is no JSON', async () => {
    serve(() => new Response('<html>', { status: 502, statusText: 'Bad Gateway' }));
    await expect(request('query')).rejects.toMatchObject({ kind: 'server', message: 'The server answered 502 Bad Gateway' });
  });

  it('refuse JSON that is no envelope', async () => {
    serve(() => Response.json([]));
    await expect(request('query')).rejects.toMatchObject({ kind: 'protocol' });
  });

  it('tell an unreachable server from an aborted request', async () => {
    serve(() => Promise.reject(new TypeError('Failed to fetch')));
    await expect(request('query')).rejects.toMatchObject({ kind: 'network', message: 'No answer from http://host:8503.' });
    serve(() => Promise.reject(new DOMException('gone', 'AbortError')));
    await expect(request('query')).rejects.toSatisfy(isAbort);
  });

  it('pass the abort signal on', async () => {
    const calls = serve(() => ok([]));
    const { signal } = new AbortController();
    await fetchLabelNames([], signal);
    expect(calls[0]?.init.signal).toBe(signal);
  });
});

describe('endpoints', () => {
  it.each<[string, () => Promise<unknown>]>([
    ['/api/v1/labels', () => fetchLabelNames([])],
    ['/api/v1/label/job/values', () => fetchLabelValues('job')],
    ['/api/v1/label/a%2Fb/values?match%5B%5D=up', () => fetchLabelValues('a/b', ['up'])],
    ['/api/v1/series?match%5B%5D=up&start=1&end=2', () => fetchSeries(['up'], { start: 1, end: 2 })],
    ['/api/v1/metadata', () => fetchMetadata()],
    ['/api/v1/targets', () => fetchTargets()],
    ['/api/v1/session', () => fetchSession()],
    ['/api/v1/status/buildinfo', () => fetchBuildInfo()],
  ])('%s is read by GET', async (url, call) => {
    const calls = serve(() => ok([]));
    await call();
    expect(calls[0]?.url).toBe(url);
    expect(calls[0]?.init.method).toBeUndefined();
  });

  it('queries go by POST', async () => {
    const calls = serve(() => ok({ resultType: 'matrix', result: [] }));
    await queryRange('up', { start: 1, end: 2, step: 1 });
    await queryInstant('up', 2);
    expect(calls.map((call) => [call.url, call.init.method, call.init.body?.toString()])).toEqual([
      ['/api/v1/query_range', 'POST', 'query=up&start=1&end=2&step=1'],
      ['/api/v1/query', 'POST', 'query=up&time=2'],
    ]);
  });
});

describe('errors', () => {
  it.each([
    ['1:5: parse error: unexpected <by>', { line: 1, column: 5 }],
    ['invalid parameter "query": 2:13: parse error', { line: 2, column: 13 }],
    ['unknown function at character 7', { line: 1, column: 7 }],
  ])('%s has a position', (message, position) => {
    expect(positionIn(message)).toEqual(position);
  });

  it('a port or a time of day is no position', () => {
    expect(positionIn('cannot reach 127.0.0.1:8503')).toBeUndefined();
  });

  it.each([
    ['bad_data', 400, 'query'],
    ['execution', 422, 'query'],
    ['timeout', 503, 'timeout'],
    ['internal', 500, 'server'],
    [undefined, 404, 'protocol'],
    [undefined, 500, 'server'],
  ])('%s with %i is of kind %s', (type, status, kind) => {
    expect(kindOf(type, status)).toBe(kind);
  });

  it('anything thrown becomes the one shape', () => {
    const known = new ApiError('server', 'x');
    expect(toApiError(known)).toBe(known);
    expect(toApiError(new Error('y'))).toMatchObject({ kind: 'network', message: 'y' });
    expect(toApiError('z').message).toBe('z');
  });
});
