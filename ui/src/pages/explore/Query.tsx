import type { ReactNode } from 'react';
import { createPortal } from 'react-dom';

import { type Grid, useInstantQuery, useRangeQuery } from '../../hooks/useRangeQuery';
import type { Remote } from '../../hooks/useRemote';
import { useClock } from '../../shell/clock';
import { useNavigation } from '../../shell/navigation';
import { QueryResult } from './QueryResult';
import { QueryRow } from './QueryRow';

interface QueryProps {
  index: number;
  grid: Grid;
  /** Where results stand: below all editors, whichever query they belong to. */
  results: HTMLElement | null;
}

/** Without the answer to an earlier question, which must not stand under the new one. */
function answerTo<T extends { expression: string }>(expression: string, remote: Remote<T>): Remote<T> {
  return remote.data === undefined || remote.data.expression === expression ? remote : { ...remote, data: undefined };
}

/** One query with its editor here and its result in the place for results. */
export function Query({ index, grid, results }: QueryProps): ReactNode {
  const { state, go } = useNavigation();
  const { refresh } = useClock();
  const { queries, tab, stacked } = state;
  const expression = queries[index] ?? '';
  const graph = answerTo(expression, useRangeQuery(tab === 'graph' ? expression : '', grid));
  const table = answerTo(expression, useInstantQuery(tab === 'table' ? expression : ''));
  const remote = tab === 'graph' ? graph : table;
  const asked = expression.trim() !== '';

  const run = (text: string): void => {
    if (text === expression) refresh();
    else go({ queries: queries.map((query, place) => (place === index ? text : query)) });
  };
  const remove = (): void => go({ queries: queries.filter((_, place) => place !== index) });
  return (
    <>
      <QueryRow
        index={index}
        query={expression}
        error={asked ? remote.error : undefined}
        loading={asked && remote.loading}
        removable={queries.length > 1}
        onRun={run}
        onRemove={remove}
      />
      {asked &&
        results !== null &&
        createPortal(
          <QueryResult index={index} lettered={queries.length > 1} expression={expression} graph={graph} table={table} tab={tab} stacked={stacked} grid={grid} />,
          results,
        )}
    </>
  );
}
