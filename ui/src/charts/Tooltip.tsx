import type { ReactNode } from 'react';

import { useI18n } from '../i18n/context';
import { formatMoment } from '../lib/timeTicks';
import { type Unit, formatValue } from '../lib/units';
import classes from './chart.module.css';

const MAX_ROWS = 12;

export interface TooltipRow {
  name: string;
  color: string;
  value: number;
}

interface TooltipProps {
  time: number;
  nowMs: number;
  zone: string;
  unit: Unit;
  rows: TooltipRow[];
  left: number;
  /** Opens to the left of the cursor, near the right edge. */
  flip: boolean;
}

/** The values of all series at one moment, largest first. */
export function Tooltip({ time, nowMs, zone, unit, rows, left, flip }: TooltipProps): ReactNode {
  const { locale, t } = useI18n();
  const shown = rows.toSorted((a, b) => b.value - a.value).slice(0, MAX_ROWS);
  const side = flip ? { right: `calc(100% - ${left - 12}px)` } : { left: left + 12 };
  return (
    <div className={classes['tooltip']} style={side} aria-hidden>
      <div className={classes['tooltipTime']}>
        {formatMoment(time, nowMs, locale)} {zone}
      </div>
      {shown.map((row) => (
        <div key={row.name} className={classes['tooltipRow']}>
          <span className={classes['marker']} style={{ background: row.color }} />
          <span className={classes['tooltipName']}>{row.name}</span>
          <span className="number">{formatValue(row.value, unit, locale)}</span>
        </div>
      ))}
      {rows.length > shown.length && <div className={classes['tooltipTime']}>{t('chart.more', { count: rows.length - shown.length })}</div>}
    </div>
  );
}
