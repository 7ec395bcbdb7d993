import { useMemo } from 'react';

import { queryInstant, queryRange } from '../api/prometheus';
import type { Annotated, InstantData } from '../api/types';
import { type Frame, parseSample, toFrame } from '../lib/matrix';
import { alignWindow, chooseStep, rateWindow } from '../lib/range';
import { useClock } from '../shell/clock';
import { type Remote, useRemote } from './useRemote';

export interface Grid {
  start: number;
  end: number;
  step: number;
  /** The window for `rate()` that suits the step. */
  rate: string;
  /** The same for what the server itself scrapes every few seconds: short, so that the first minute is right. */
  ownRate: string;
}

const OWN_RATE_SECONDS = 30;

/** The grid on which every chart of a view asks, so that their cursors meet. */
export function useGrid(): Grid {
  const { window } = useClock();
  return useMemo(() => {
    const step = chooseStep(window);
    return { ...alignWindow(window, step), step, rate: rateWindow(step), ownRate: rateWindow(step, OWN_RATE_SECONDS) };
  }, [window]);
}

export interface RangeAnswer extends Omit<Annotated<Frame>, 'data'> {
  /** What was asked; a newer expression may be on its way. */
  expression: string;
  frame: Frame;
  tookMs: number;
}

/** One range query on the view's grid. An empty expression asks nothing. */
export function useRangeQuery(expression: string, grid: Grid): Remote<RangeAnswer> {
  const key = expression.trim() === '' ? null : `${expression}\n${grid.start} ${grid.end} ${grid.step}`;
  return useRemote(key, async (signal) => {
    const begun = performance.now();
    const answer = await queryRange(expression, grid, signal);
    const frame = toFrame(answer.data.result, grid);
    return { expression, frame, warnings: answer.warnings, infos: answer.infos, tookMs: performance.now() - begun };
  });
}

export interface InstantAnswer extends Annotated<InstantData> {
  expression: string;
  time: number;
  tookMs: number;
}

/** One instant query at the end of the view's window. */
export function useInstantQuery(expression: string): Remote<InstantAnswer> {
  const { window } = useClock();
  const time = window.end;
  const key = expression.trim() === '' ? null : `${expression}\n${time}`;
  return useRemote(key, async (signal) => {
    const begun = performance.now();
    const answer = await queryInstant(expression, time, signal);
    return { ...answer, expression, time, tookMs: performance.now() - begun };
  });
}

/** The single number of an instant query, or null where there is none. */
export function useNumber(expression: string): number | null {
  const { data } = useInstantQuery(expression);
  if (data?.data.resultType !== 'vector') return null;
  const text = data.data.result[0]?.value?.[1];
  return text === undefined ? null : parseSample(text);
}
