import uPlot from 'uplot';

import { type ChartTheme, withAlpha } from '../lib/colors';
import { valueRange } from '../lib/scale';
import { formatTimeTicks } from '../lib/timeTicks';
import { type Unit, formatTicks, tickIncrements } from '../lib/units';

/** A stretch of values that means trouble, drawn as a faint band. */
export interface ThresholdBand {
  from: number;
  to: number;
  kind: 'warning' | 'failing';
}

export interface ChartLook {
  unit: Unit;
  locale: string;
  zone: string;
  theme: ChartTheme;
  stacked: boolean;
  /** A chart without axes, as in a row of a list. */
  compact: boolean;
  lines: { color: string; dash: number[] }[];
  /** Fixes the upper end of the value axis. */
  top: number | undefined;
  bands: readonly ThresholdBand[];
}

/** What changes without a new chart; read through a function so that uPlot always sees the latest. */
export interface ChartLive {
  window: { start: number; end: number };
  onZoom: (start: number, end: number) => void;
  onBack: () => void;
  onCursor: (plot: uPlot) => void;
}

const FONT = '11px system-ui, sans-serif';
const DRAG_PIXELS = 6;
const ZONE_CLEARANCE = 20;

function lineSeries(look: ChartLook): uPlot.Series[] {
  return look.lines.map(({ color, dash }, index) => ({
    stroke: color,
    width: 1.5,
    dash,
    spanGaps: false,
    points: { size: 4, fill: color },
    // Only the lowest area of a stack reaches down to zero; the bands fill the others.
    ...(look.stacked ? (index === 0 ? { fill: withAlpha(color, 0.35) } : {}) : {}),
    ...(!look.stacked && look.lines.length === 1 ? { fill: withAlpha(color, 0.1) } : {}),
  }));
}

function stackBands(look: ChartLook): uPlot.Band[] {
  if (!look.stacked) return [];
  return look.lines.slice(1).map(({ color }, index) => ({ series: [index + 2, index + 1], fill: withAlpha(color, 0.35) }));
}

/** Whether a tick stands so far left that its label would run into the zone's name. */
function isUnderZone(plot: uPlot, tick: number | undefined): boolean {
  return tick !== undefined && plot.valToPos(tick, 'x') < ZONE_CLEARANCE;
}

function axes(look: ChartLook, names: { unit: string }): uPlot.Axis[] {
  if (look.compact) return [{ show: false }, { show: false }];
  const shared = { stroke: look.theme.axis, font: FONT, grid: { stroke: look.theme.grid, width: 1 }, ticks: { show: false } };
  return [
    {
      ...shared,
      size: 24,
      gap: 6,
      space: 72,
      values: (plot, splits, _axis, _space, increment) =>
        formatTimeTicks(splits, increment, look.locale).map((label, index) => (isUnderZone(plot, splits[index]) ? '' : label)),
    },
    {
      ...shared,
      gap: 6,
      space: 32,
      incrs: tickIncrements(look.unit),
      values: (_plot, splits) => {
        const { labels, unit } = formatTicks(splits, look.unit, look.locale);
        names.unit = unit;
        return labels;
      },
      size: (_plot, values) => Math.max(44, 14 + 6.6 * (values ?? []).reduce((longest, value) => Math.max(longest, value.length), 0)),
    },
  ];
}

/** Writes the unit over the value axis and the zone under it, where no tick can cover them. */
function drawNames(plot: uPlot, look: ChartLook, unit: string): void {
  const { ctx, bbox } = plot;
  const ratio = uPlot.pxRatio;
  ctx.save();
  ctx.font = FONT.replace('11px', `${11 * ratio}px`);
  ctx.fillStyle = look.theme.axis;
  ctx.textAlign = 'right';
  ctx.textBaseline = 'alphabetic';
  ctx.fillText(unit, bbox.left - 6 * ratio, bbox.top - 12 * ratio);
  ctx.textAlign = 'left';
  ctx.textBaseline = 'top';
  ctx.fillText(look.zone, 0, bbox.top + bbox.height + 9 * ratio);
  ctx.restore();
}

function drawThresholds(plot: uPlot, bands: readonly ThresholdBand[], theme: ChartTheme): void {
  const { ctx, bbox } = plot;
  for (const band of bands) {
    const top = Math.max(plot.valToPos(band.to, 'y', true), bbox.top);
    const bottom = Math.min(plot.valToPos(band.from, 'y', true), bbox.top + bbox.height);
    if (bottom <= top) continue;
    ctx.fillStyle = theme[band.kind];
    ctx.fillRect(bbox.left, top, bbox.width, bottom - top);
  }
}

function isMovement(type: string): boolean {
  return type === 'mousemove' || type === 'mouseleave' || type === 'mouseenter';
}

function cursor(look: ChartLook, live: () => ChartLive, syncKey: string): uPlot.Cursor {
  return {
    y: false,
    drag: { x: true, y: false, setScale: false, dist: DRAG_PIXELS },
    // Shared are movements only: a drag that ends on every chart at once would zoom as many times.
    sync: { key: syncKey, setSeries: false, scales: ['x', null], filters: { pub: isMovement } },
    points: { size: 6, fill: (_plot, index) => look.lines[index - 1]?.color ?? look.theme.axis },
    bind: {
      dblclick: () => () => {
        live().onBack();
        return null;
      },
    },
  };
}

function selected(plot: uPlot, live: () => ChartLive): void {
  const { left, width } = plot.select;
  if (width < DRAG_PIXELS) return;
  const start = plot.posToVal(left, 'x');
  const end = plot.posToVal(left + width, 'x');
  plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
  live().onZoom(start, end);
}

/** uPlot's options for a look; what moves at run time is read from `live`. */
export function chartOptions(look: ChartLook, size: { width: number; height: number }, live: () => ChartLive, syncKey: string): uPlot.Options {
  const names = { unit: '' };
  return {
    ...size,
    padding: look.compact ? [4, 0, 2, 0] : [26, 8, 0, 0],
    legend: { show: false },
    cursor: cursor(look, live, syncKey),
    series: [{}, ...lineSeries(look)],
    bands: stackBands(look),
    axes: axes(look, names),
    scales: {
      x: { time: true, range: () => [live().window.start, live().window.end] },
      y: { range: (_plot, min, max) => valueRange(min, max, look.unit, look.top) },
    },
    hooks: {
      drawClear: [(plot) => drawThresholds(plot, look.bands, look.theme)],
      draw: [(plot) => (look.compact ? undefined : drawNames(plot, look, names.unit))],
      setCursor: [(plot) => live().onCursor(plot)],
      setSelect: [(plot) => selected(plot, live)],
    },
  };
}
