import { useComputedColorScheme } from '@mantine/core';
import { type ReactNode, useMemo, useRef, useState } from 'react';
import type uPlot from 'uplot';

import { useI18n } from '../i18n/context';
import { CHART_THEMES, seriesStyle } from '../lib/colors';
import { type Frame, lastValue, stackRows } from '../lib/matrix';
import { formatZone } from '../lib/range';
import type { Unit } from '../lib/units';
import classes from './chart.module.css';
import { Legend } from './Legend';
import type { ThresholdBand } from './options';
import { Tooltip, type TooltipRow } from './Tooltip';
import { usePlot } from './usePlot';

const NO_BANDS: readonly ThresholdBand[] = [];

export interface ChartProps {
  title: string;
  unit: Unit;
  frame: Frame;
  /** One a series, in its order. */
  names: readonly string[];
  window: { start: number; end: number };
  height: number;
  onZoom: (start: number, end: number) => void;
  onBack: () => void;
  stacked?: boolean;
  compact?: boolean;
  /** Fixes the upper end of the value axis. */
  top?: number | undefined;
  bands?: readonly ThresholdBand[] | undefined;
  /** Each series' place in the palette, where a thing must keep its colour whoever stands beside it. */
  places?: readonly number[];
  legendRows?: boolean;
}

interface Hover {
  index: number;
  left: number;
  flip: boolean;
  /** Whether the pointer is on this chart and not on one that shares its cursor. */
  own: boolean;
}

function readCursor(plot: uPlot): Hover | null {
  const { idx, left } = plot.cursor;
  if (idx === null || idx === undefined || left === undefined || left < 0) return null;
  const offset = plot.over.offsetLeft + left;
  return { index: idx, left: offset, flip: left > plot.over.clientWidth / 2, own: plot.over.matches(':hover') };
}

/** Lines or stacked areas over time, with a legend below and all values beside the cursor. */
export function Chart(props: ChartProps): ReactNode {
  const { title, unit, frame, names, window, height, compact = false, stacked = false, places } = props;
  const { locale, t } = useI18n();
  const scheme = useComputedColorScheme('light');
  const host = useRef<HTMLDivElement>(null);
  const [hover, setHover] = useState<Hover | null>(null);
  const [isolated, setIsolated] = useState<string | null>(null);
  const alone = isolated !== null && names.includes(isolated) ? isolated : null;

  const data = useMemo<uPlot.AlignedData>(() => {
    const rows = frame.series.map(({ values }, index) => (alone === null || names[index] === alone ? values : values.map(() => null)));
    return [frame.times, ...(stacked ? stackRows(rows) : rows)];
  }, [frame, names, alone, stacked]);

  const lines = frame.series.map((_, index) => seriesStyle(places?.[index] ?? index, scheme));
  const zone = formatZone(new Date(window.end * 1000).getTimezoneOffset());
  const look = { unit, locale, zone, theme: CHART_THEMES[scheme], stacked, compact, lines, top: props.top, bands: props.bands ?? NO_BANDS };
  const live = {
    window,
    onZoom: props.onZoom,
    onBack: props.onBack,
    onCursor: (plot: uPlot) => setHover(readCursor(plot)),
  };
  usePlot(host, look, live, data, height, 'view');

  const valueAt = (index: number): number | null => {
    const values = frame.series[index]?.values ?? [];
    return hover === null ? lastValue(values) : (values[hover.index] ?? null);
  };
  const rows: TooltipRow[] = names.flatMap((name, index) => {
    const value = valueAt(index);
    return value === null || (alone !== null && alone !== name) ? [] : [{ name, color: lines[index]?.color ?? '', value }];
  });
  const time = hover === null ? undefined : frame.times[hover.index];

  return (
    <div className={classes['chart']}>
      <div ref={host} className={classes['plot']} style={{ height }} role="img" aria-label={t('chart.label', { title, unit })} />
      {hover?.own && time !== undefined && rows.length > 0 && (
        <Tooltip time={time} nowMs={window.end * 1000} zone={zone} unit={unit} rows={rows} left={hover.left} flip={hover.flip} />
      )}
      {!compact && (
        <Legend
          title={title}
          unit={unit}
          isolated={alone}
          onIsolate={setIsolated}
          rows={props.legendRows ?? false}
          entries={names.map((name, index) => ({
            name,
            color: lines[index]?.color ?? '',
            dashed: (lines[index]?.dash.length ?? 0) > 0,
            value: valueAt(index),
          }))}
        />
      )}
    </div>
  );
}
