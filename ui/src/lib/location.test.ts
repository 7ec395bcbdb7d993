import { describe, expect, it } from 'vitest';

import { DEFAULT_STATE, type PageState, decodeState, encodeState, viewOf } from './location';

function roundTrip(state: PageState, prefix = '/'): PageState {
  const url = new URL(encodeState(state), `http://host${prefix}`);
  return decodeState(url.pathname, url.search);
}

const STATES: Partial<PageState>[] = [
  {},
  { range: { from: 'now-6h', to: 'now' } },
  { range: { from: '1700000000000', to: '1700000360000' }, refresh: 'off' },
  { view: 'explore' },
  { view: 'explore', queries: ['sum by (job) (rate(x{a="b&c=d",e=~"f.+"}[5m])) > 0'], tab: 'table' },
  { view: 'explore', queries: ['up', '', 'a\nb # ü'], stacked: true, refresh: '5s' },
  { view: 'targets', search: 'job=node', health: 'down' },
];

describe('links', () => {
  it.each(STATES)('%j survives a round trip', (change) => {
    const state = { ...DEFAULT_STATE, ...change };
    expect(roundTrip(state)).toEqual(state);
    expect(roundTrip(state, '/some/prefix/')).toEqual(state);
  });

  it('to a default view are short', () => {
    expect(encodeState(DEFAULT_STATE)).toBe('./');
    expect(encodeState({ ...DEFAULT_STATE, view: 'targets' })).toBe('./targets');
  });

  it('carry nothing that belongs to another view', () => {
    expect(encodeState({ ...DEFAULT_STATE, queries: ['up'], search: 'x' })).toBe('./');
  });

  it('drop a first query that is empty', () => {
    const state: PageState = { ...DEFAULT_STATE, view: 'explore', queries: ['', 'up'] };
    expect(roundTrip(state).queries).toEqual(['up']);
  });

  it('written by hand fall back to defaults', () => {
    expect(decodeState('/nowhere', '?tab=x&health=y&refresh=1ms')).toEqual(DEFAULT_STATE);
    expect(decodeState('/', '?refresh=often').refresh).toBe(DEFAULT_STATE.refresh);
  });
});

it.each([
  ['/', 'home'],
  ['/explore', 'explore'],
  ['/prefix/targets', 'targets'],
  ['/prefix/', 'home'],
])('%s is the view %s', (pathname, view) => {
  expect(viewOf(pathname)).toBe(view);
});
