import { Button, SegmentedControl, Switch, UnstyledButton } from '@mantine/core';
import { type ReactNode, useState } from 'react';

import { useGrid } from '../../hooks/useRangeQuery';
import { useI18n } from '../../i18n/context';
import { type MetricEntry, starterQuery } from '../../lib/metrics';
import { Icon } from '../../parts/icons';
import { Empty } from '../../parts/Notice';
import { useNavigation } from '../../shell/navigation';
import classes from './explore.module.css';
import { MetricBrowser } from './MetricBrowser';
import { Query } from './Query';

const STARTERS = [
  'up',
  'sum by (job) (rate(http_server_request_duration_seconds_count[5m]))',
  'avg by (cpu_mode) (rate(system_cpu_time_seconds_total{job="host"}[5m]))',
];

function Starters(): ReactNode {
  const { t } = useI18n();
  const { go } = useNavigation();
  return (
    <Empty title={t('explore.empty.title')}>
      <span>{t('explore.empty.text')}</span>
      <ul className={classes['starters']}>
        {STARTERS.map((query) => (
          <li key={query}>
            <UnstyledButton className={`mono ${classes['starter']}`} onClick={() => go({ queries: [query] })}>
              {query}
            </UnstyledButton>
          </li>
        ))}
      </ul>
    </Empty>
  );
}

function Toolbar({ onBrowse }: { onBrowse: () => void }): ReactNode {
  const { t } = useI18n();
  const { state, go } = useNavigation();
  return (
    <div className={classes['toolbar']}>
      <SegmentedControl
        size="xs"
        aria-label={t('explore.result')}
        value={state.tab}
        onChange={(tab) => go({ tab }, 'replace')}
        data={[
          { value: 'graph', label: t('explore.graph') },
          { value: 'table', label: t('explore.table') },
        ]}
      />
      {state.tab === 'graph' && (
        <Switch size="xs" label={t('explore.stacked')} checked={state.stacked} onChange={(event) => go({ stacked: event.currentTarget.checked }, 'replace')} />
      )}
      <span className={classes['gap']} />
      <Button size="xs" variant="default" leftSection={<Icon name="list" />} onClick={onBrowse}>
        {t('explore.metrics')}
      </Button>
      <Button size="xs" variant="default" leftSection={<Icon name="plus" />} onClick={() => go({ queries: [...state.queries, ''] })}>
        {t('explore.add')}
      </Button>
    </div>
  );
}

/** Where an empty editor stands, a picked metric goes; else it replaces the last query. */
function placeFor(queries: readonly string[]): number {
  const empty = queries.indexOf('');
  return empty < 0 ? queries.length - 1 : empty;
}

/** Queries, and what they give. */
export function Explore(): ReactNode {
  const { state, go } = useNavigation();
  const grid = useGrid();
  const [results, setResults] = useState<HTMLElement | null>(null);
  const [browsing, setBrowsing] = useState(false);
  const pick = (metric: MetricEntry): void => {
    const place = placeFor(state.queries);
    go({ queries: state.queries.map((query, index) => (index === place ? starterQuery(metric) : query)) });
    setBrowsing(false);
  };
  return (
    <div className={classes['explore']}>
      <div className={classes['queries']}>
        {state.queries.map((_, index) => (
          // A query has no name but its place.
          // oxlint-disable-next-line react/no-array-index-key
          <Query key={index} index={index} grid={grid} results={results} />
        ))}
        <Toolbar onBrowse={() => setBrowsing(true)} />
      </div>
      <div ref={setResults} className={classes['results']} />
      {state.queries.every((query) => query.trim() === '') && <Starters />}
      <MetricBrowser opened={browsing} onClose={() => setBrowsing(false)} onPick={pick} />
    </div>
  );
}
