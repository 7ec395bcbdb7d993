import { createContext, type ReactNode, useCallback, useContext, useMemo, useState, useSyncExternalStore } from 'react';

import { type HistoryMark, isZoomed, rangeBefore } from '../lib/history';
import { type PageState, decodeState, encodeState } from '../lib/location';
import { pinnedRange } from '../lib/range';

const CHANGED = 'mirante:navigated';

export interface Navigation {
  state: PageState;
  /** The link to this state with changes; a real address, so that it opens in a new tab as well. */
  linkTo: (change: Partial<PageState>) => string;
  go: (change: Partial<PageState>, how?: 'push' | 'replace') => void;
  zoom: (startSeconds: number, endSeconds: number) => void;
  /** Undoes a zoom. */
  zoomBack: () => void;
  canZoomBack: boolean;
  /** When the reader last chose a time range, in milliseconds: `now` means then at the earliest. */
  rangeChosenAt: number;
}

const NavigationContext = createContext<Navigation | null>(null);

function subscribe(notify: () => void): () => void {
  window.addEventListener('popstate', notify);
  window.addEventListener(CHANGED, notify);
  return () => {
    window.removeEventListener('popstate', notify);
    window.removeEventListener(CHANGED, notify);
  };
}

function write(url: string, mark: HistoryMark, how: 'push' | 'replace'): void {
  if (how === 'push') history.pushState(mark, '', url);
  else history.replaceState(mark, '', url);
  window.dispatchEvent(new Event(CHANGED));
}

export function NavigationProvider({ children }: { children: ReactNode }): ReactNode {
  const href = useSyncExternalStore(subscribe, () => window.location.href);
  const state = useMemo(() => {
    const url = new URL(href);
    return decodeState(url.pathname, url.search);
  }, [href]);

  const [rangeChosenAt, setRangeChosenAt] = useState(Date.now);
  const linkTo = useCallback((change: Partial<PageState>) => encodeState({ ...state, ...change }), [state]);
  const go = useCallback(
    (change: Partial<PageState>, how: 'push' | 'replace' = 'push') => {
      if (change.range !== undefined) setRangeChosenAt(Date.now());
      write(linkTo(change), { zoomed: false }, how);
    },
    [linkTo],
  );
  const zoom = useCallback(
    (start: number, end: number) => write(linkTo({ range: pinnedRange(start, end) }), { zoomed: true }, 'push'),
    [linkTo],
  );
  const before = rangeBefore(state.range);
  const zoomBack = useCallback(() => {
    if (isZoomed(history.state)) history.back();
    else if (before !== null) go({ range: before });
  }, [before, go]);

  const value = useMemo(
    () => ({ state, linkTo, go, zoom, zoomBack, canZoomBack: before !== null, rangeChosenAt }),
    [state, linkTo, go, zoom, zoomBack, before, rangeChosenAt],
  );
  return <NavigationContext value={value}>{children}</NavigationContext>;
}

export function useNavigation(): Navigation {
  const value = useContext(NavigationContext);
  if (value === null) throw new Error('useNavigation outside of NavigationProvider');
  return value;
}
