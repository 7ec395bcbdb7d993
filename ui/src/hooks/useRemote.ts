import { useCallback, useEffect, useRef, useState } from 'react';

import { type ApiError, isAbort, toApiError } from '../api/errors';

export interface Remote<T> {
  /** The latest answer; while a newer one is on its way, still the one before. */
  data: T | undefined;
  /** The key that `data` answers. */
  dataKey: string | null;
  error: ApiError | undefined;
  loading: boolean;
  retry: () => void;
}

interface Held<T> {
  data: T | undefined;
  dataKey: string | null;
  error: ApiError | undefined;
  settled: string | null;
}

/** Loads whenever `key` changes and aborts what is under way; a null key asks nothing. */
export function useRemote<T>(key: string | null, load: (signal: AbortSignal) => Promise<T>): Remote<T> {
  const [held, hold] = useState<Held<T>>({ data: undefined, dataKey: null, error: undefined, settled: null });
  const [attempt, setAttempt] = useState(0);
  const latest = useRef(load);
  useEffect(() => {
    latest.current = load;
  });
  const question = key === null ? null : `${attempt} ${key}`;

  useEffect(() => {
    if (key === null) return undefined;
    const controller = new AbortController();
    latest.current(controller.signal).then(
      (data) => hold({ data, dataKey: key, error: undefined, settled: question }),
      (error: unknown) => {
        if (isAbort(error) || controller.signal.aborted) return;
        hold((before) => ({ ...before, error: toApiError(error), settled: question }));
      },
    );
    return () => controller.abort();
  }, [key, question]);

  const retry = useCallback(() => setAttempt((count) => count + 1), []);
  return { data: held.data, dataKey: held.dataKey, error: held.error, loading: question !== null && held.settled !== question, retry };
}
