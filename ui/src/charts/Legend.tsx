import type { ReactNode } from 'react';

import { useI18n } from '../i18n/context';
import { type Unit, formatValue } from '../lib/units';
import classes from './chart.module.css';

export interface LegendEntry {
  name: string;
  color: string;
  dashed: boolean;
  /** At the cursor, else the latest. */
  value: number | null;
}

interface LegendProps {
  title: string;
  unit: Unit;
  entries: LegendEntry[];
  isolated: string | null;
  onIsolate: (name: string | null) => void;
  /** One entry a line, for names that are whole series. */
  rows: boolean;
}

export function Legend({ title, unit, entries, isolated, onIsolate, rows }: LegendProps): ReactNode {
  const { locale, t } = useI18n();
  return (
    <ul className={classes['legend']} data-rows={rows || undefined} aria-label={t('chart.legend', { title })}>
      {entries.map((entry) => (
        <li key={entry.name}>
          <button
            type="button"
            className={classes['legendEntry']}
            data-dim={(isolated !== null && isolated !== entry.name) || undefined}
            aria-pressed={isolated === entry.name}
            title={isolated === entry.name ? t('chart.restore') : t('chart.isolate', { name: entry.name })}
            onClick={() => onIsolate(isolated === entry.name ? null : entry.name)}
          >
            <span className={classes['marker']} data-dashed={entry.dashed || undefined} style={{ color: entry.color }} />
            <span className={classes['legendName']}>{entry.name}</span>
            <span className={`number ${classes['legendValue']}`}>
              {entry.value === null ? '–' : formatValue(entry.value, unit, locale)}
            </span>
          </button>
        </li>
      ))}
    </ul>
  );
}
