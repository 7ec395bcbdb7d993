/** What a link carries: the view and, in the query string, its whole state. */

import { parseDuration } from './duration';
import { DEFAULT_RANGE, type TimeRange } from './range';

export const VIEWS = ['home', 'explore', 'targets'] as const;
export type View = (typeof VIEWS)[number];

export const TABS = ['graph', 'table'] as const;
export type Tab = (typeof TABS)[number];

export const HEALTH_FILTERS = ['all', 'up', 'down', 'unknown'] as const;
export type HealthFilter = (typeof HEALTH_FILTERS)[number];

export const REFRESH_STEPS = ['off', '5s', '10s', '30s', '1m', '5m'] as const;
export const DEFAULT_REFRESH = '10s';

export interface PageState {
  view: View;
  range: TimeRange;
  /** `off` or a duration. */
  refresh: string;
  /** Explore: its queries, at least one and possibly empty. */
  queries: string[];
  tab: Tab;
  stacked: boolean;
  /** Targets: free text and the state to show. */
  search: string;
  health: HealthFilter;
}

export const DEFAULT_STATE: PageState = {
  view: 'home',
  range: DEFAULT_RANGE,
  refresh: DEFAULT_REFRESH,
  queries: [''],
  tab: 'graph',
  stacked: false,
  search: '',
  health: 'all',
};

function oneOf<T extends string>(choices: readonly T[], text: string | null, fallback: T): T {
  return choices.find((choice) => choice === text) ?? fallback;
}

function readRefresh(text: string | null): string {
  if (text === 'off') return text;
  const ms = text === null ? null : parseDuration(text);
  // A hand-written `refresh=1ms` would be a denial of service by link.
  return text !== null && ms !== null && ms >= 1000 ? text : DEFAULT_REFRESH;
}

/** The view that a path names by its last segment; anything unknown is Home. */
export function viewOf(pathname: string): View {
  return oneOf(VIEWS, pathname.slice(pathname.lastIndexOf('/') + 1), 'home');
}

export function decodeState(pathname: string, search: string): PageState {
  const params = new URLSearchParams(search);
  const queries = params.getAll('q');
  return {
    view: viewOf(pathname),
    range: { from: params.get('from') ?? DEFAULT_RANGE.from, to: params.get('to') ?? DEFAULT_RANGE.to },
    refresh: readRefresh(params.get('refresh')),
    queries: queries.length > 0 ? queries : [''],
    tab: oneOf(TABS, params.get('tab'), 'graph'),
    stacked: params.get('stacked') === '1',
    search: params.get('search') ?? '',
    health: oneOf(HEALTH_FILTERS, params.get('health'), 'all'),
  };
}

function encodeExplore(state: PageState, params: URLSearchParams): void {
  state.queries.filter((query, index) => query !== '' || index > 0).forEach((query) => params.append('q', query));
  if (state.tab !== 'graph') params.set('tab', state.tab);
  if (state.stacked) params.set('stacked', '1');
}

function encodeTargets(state: PageState, params: URLSearchParams): void {
  if (state.search !== '') params.set('search', state.search);
  if (state.health !== 'all') params.set('health', state.health);
}

/** The link to a state, relative to the page's folder so that it works under any prefix. Defaults are left out. */
export function encodeState(state: PageState): string {
  const params = new URLSearchParams();
  if (state.view === 'explore') encodeExplore(state, params);
  if (state.view === 'targets') encodeTargets(state, params);
  if (state.range.from !== DEFAULT_RANGE.from || state.range.to !== DEFAULT_RANGE.to) {
    params.set('from', state.range.from);
    params.set('to', state.range.to);
  }
  if (state.refresh !== DEFAULT_REFRESH) params.set('refresh', state.refresh);
  const search = params.size > 0 ? `?${params}` : '';
  return `./${state.view === 'home' ? '' : state.view}${search}`;
}
