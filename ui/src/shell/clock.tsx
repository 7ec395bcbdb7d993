import { createContext, type ReactNode, useCallback, useContext, useEffect, useMemo, useState } from 'react';

import { parseDuration } from '../lib/duration';
import { DEFAULT_RANGE, type Window, isLive, resolveRange } from '../lib/range';
import { useNavigation } from './navigation';

interface Clock {
  /** The time range in seconds as of the last refresh. */
  window: Window;
  /** The moment of that refresh. */
  nowMs: number;
  refresh: () => void;
}

const ClockContext = createContext<Clock | null>(null);

/** The time, renewed every `everyMs` while somebody looks and once more when they come back to the tab. */
function useNow(everyMs: number | null): [number, () => void] {
  const [nowMs, setNowMs] = useState(Date.now);
  const advance = useCallback(() => setNowMs(Date.now()), []);
  useEffect(() => {
    if (everyMs === null) return undefined;
    const whenVisible = (): void => {
      if (document.visibilityState === 'visible') advance();
    };
    const timer = setInterval(whenVisible, everyMs);
    document.addEventListener('visibilitychange', whenVisible);
    return () => {
      clearInterval(timer);
      document.removeEventListener('visibilitychange', whenVisible);
    };
  }, [everyMs, advance]);
  return [nowMs, advance];
}

function resolve(from: string, to: string, nowMs: number): Window {
  const window = resolveRange({ from, to }, nowMs) ?? resolveRange(DEFAULT_RANGE, nowMs);
  return window ?? { start: nowMs / 1000 - 900, end: nowMs / 1000 };
}

export function ClockProvider({ children }: { children: ReactNode }): ReactNode {
  const { state, rangeChosenAt } = useNavigation();
  const { range, refresh: every } = state;
  const [tickedAt, refresh] = useNow(isLive(range) && every !== 'off' ? parseDuration(every) : null);
  const { from, to } = range;
  const nowMs = Math.max(tickedAt, rangeChosenAt);
  const value = useMemo(() => ({ window: resolve(from, to, nowMs), nowMs, refresh }), [from, to, nowMs, refresh]);
  return <ClockContext value={value}>{children}</ClockContext>;
}

export function useClock(): Clock {
  const value = useContext(ClockContext);
  if (value === null) throw new Error('useClock outside of ClockProvider');
  return value;
}
