import { type RefObject, useEffect, useLayoutEffect, useRef, useState } from 'react';
import uPlot from 'uplot';

import { type ChartLive, type ChartLook, chartOptions } from './options';

function sizeOf(host: HTMLElement, height: number): { width: number; height: number } {
  return { width: Math.max(40, Math.floor(host.clientWidth)), height };
}

/** The same object for as long as its content is the same; callers build theirs anew at every render. */
function useStable<T>(value: T): T {
  const [kept, keep] = useState(value);
  if (kept === value || JSON.stringify(kept) === JSON.stringify(value)) return kept;
  keep(value);
  return value;
}

/** Keeps one uPlot in `host`: a new one when the look changes, new data and sizes in place. */
export function usePlot(
  host: RefObject<HTMLDivElement | null>,
  look: ChartLook,
  live: ChartLive,
  data: uPlot.AlignedData,
  height: number,
  syncKey: string,
): void {
  const latest = useRef(live);
  const latestData = useRef(data);
  const plot = useRef<uPlot | null>(null);
  useLayoutEffect(() => {
    latest.current = live;
    latestData.current = data;
  });
  const stableLook = useStable(look);

  useEffect(() => {
    const element = host.current;
    if (element === null) return undefined;
    const options = chartOptions(stableLook, sizeOf(element, height), () => latest.current, syncKey);
    const made = new uPlot(options, latestData.current, element);
    plot.current = made;
    const observer = new ResizeObserver(() => {
      const size = sizeOf(element, height);
      if (size.width !== made.width) made.setSize(size);
    });
    observer.observe(element);
    return () => {
      observer.disconnect();
      made.destroy();
      plot.current = null;
    };
  }, [host, stableLook, height, syncKey]);

  useEffect(() => {
    plot.current?.setData(data);
  }, [data]);

  const { start, end } = live.window;
  useEffect(() => {
    plot.current?.setScale('x', { min: start, max: end });
  }, [start, end]);
}
