import type { ReactNode } from 'react';

import type { Grid, InstantAnswer, RangeAnswer } from '../../hooks/useRangeQuery';
import type { Remote } from '../../hooks/useRemote';
import { useI18n } from '../../i18n/context';
import { formatDuration } from '../../lib/duration';
import { toRows } from '../../lib/matrix';
import { formatValue } from '../../lib/units';
import { ErrorNotice } from '../../parts/Notice';
import classes from './explore.module.css';
import { GraphResult } from './GraphResult';
import { letterOf } from './QueryRow';
import { TableResult } from './TableResult';

interface QueryResultProps {
  index: number;
  /** Whether there are others, so that it needs its letter. */
  lettered: boolean;
  expression: string;
  graph: Remote<RangeAnswer>;
  table: Remote<InstantAnswer>;
  tab: 'graph' | 'table';
  stacked: boolean;
  grid: Grid;
}

function useFacts({ graph, table, tab, grid }: QueryResultProps): string {
  const { locale, t } = useI18n();
  const count = tab === 'graph' ? graph.data?.frame.series.length : table.data && toRows(table.data.data).length;
  const took = tab === 'graph' ? graph.data?.tookMs : table.data?.tookMs;
  if (count === undefined || took === undefined) return '';
  const facts = [count === 1 ? t('explore.series.one') : t('explore.series', { count })];
  if (tab === 'graph') facts.push(t('explore.step', { step: formatDuration(grid.step * 1000) }));
  facts.push(formatValue(took / 1000, 'seconds', locale));
  return facts.join(' · ');
}

/** What one query gave, as a graph or as a table, or why it gave nothing. */
export function QueryResult(props: QueryResultProps): ReactNode {
  const { index, lettered, expression, graph, table, tab, stacked, grid } = props;
  const { t } = useI18n();
  const remote = tab === 'graph' ? graph : table;
  const facts = useFacts(props);
  const position = remote.error?.position;
  return (
    <section className={classes['panel']} aria-label={t('explore.query', { letter: letterOf(index) })}>
      <header className={classes['panelHead']}>
        {lettered && <span className={classes['letter']}>{letterOf(index)}</span>}
        <span className={`mono dim ${classes['expression']}`}>{expression}</span>
        <span className="number dim small">{facts}</span>
      </header>
      {remote.error && (
        <ErrorNotice error={remote.error} onRetry={remote.retry}>
          {position && <span className="dim small">{t('explore.position', { line: position.line, column: position.column })}</span>}
        </ErrorNotice>
      )}
      {!remote.error && tab === 'graph' && <GraphResult remote={graph} expression={expression} grid={grid} stacked={stacked} />}
      {!remote.error && tab === 'table' && <TableResult remote={table} expression={expression} />}
    </section>
  );
}
