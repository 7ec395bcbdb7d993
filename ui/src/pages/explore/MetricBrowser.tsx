import { Drawer, TextInput, UnstyledButton } from '@mantine/core';
import { type ReactNode, useState } from 'react';

import { fetchLabelValues, fetchMetadata } from '../../api/prometheus';
import { useRemote } from '../../hooks/useRemote';
import { useI18n } from '../../i18n/context';
import { type MetricEntry, listMetrics } from '../../lib/metrics';
import { searchItems } from '../../lib/search';
import { Icon } from '../../parts/icons';
import { Empty, ErrorNotice, Placeholder } from '../../parts/Notice';
import classes from './explore.module.css';

const SHOWN = 200;

interface MetricBrowserProps {
  opened: boolean;
  onClose: () => void;
  onPick: (metric: MetricEntry) => void;
}

function MetricList({ metrics, search, onPick }: { metrics: MetricEntry[]; search: string; onPick: (metric: MetricEntry) => void }): ReactNode {
  const { t } = useI18n();
  const found = searchItems(metrics, search, ({ name, help }) => `${name} ${help}`);
  if (found.length === 0) return <Empty title={t('explore.metrics.none')} />;
  return (
    <>
      <ul className={classes['metrics']}>
        {found.slice(0, SHOWN).map((metric) => (
          <li key={metric.name}>
            <UnstyledButton className={classes['metric'] ?? ''} onClick={() => onPick(metric)}>
              <span className={classes['metricName']}>
                <span className="mono">{metric.name}</span>
                <span className="dim small">{metric.type}</span>
              </span>
              {metric.help !== '' && <span className="dim small">{metric.help}</span>}
            </UnstyledButton>
          </li>
        ))}
      </ul>
      {found.length > SHOWN && <p className="dim small">{t('explore.metrics.more', { count: found.length - SHOWN })}</p>}
    </>
  );
}

/** Every metric that the store knows, with what it says about itself. */
export function MetricBrowser({ opened, onClose, onPick }: MetricBrowserProps): ReactNode {
  const { t } = useI18n();
  const [search, setSearch] = useState('');
  const remote = useRemote(opened ? 'metrics' : null, async (signal) => {
    const [names, metadata] = await Promise.all([fetchLabelValues('__name__', [], signal), fetchMetadata(signal)]);
    return listMetrics(names, metadata);
  });
  const title = remote.data === undefined ? t('explore.metrics') : t('explore.metrics.count', { count: remote.data.length });
  return (
    <Drawer opened={opened} onClose={onClose} title={title} position="right" size={480} transitionProps={{ duration: 0 }} closeButtonProps={{ 'aria-label': t('common.close') }}>
      <TextInput
        size="xs"
        data-autofocus
        className={classes['metricSearch'] ?? ''}
        placeholder={t('explore.metrics.search')}
        aria-label={t('explore.metrics.search')}
        leftSection={<Icon name="search" />}
        value={search}
        onChange={(event) => setSearch(event.currentTarget.value)}
      />
      {remote.error && <ErrorNotice error={remote.error} onRetry={remote.retry} />}
      {remote.data === undefined && !remote.error && <Placeholder height={320} />}
      {remote.data !== undefined && <MetricList metrics={remote.data} search={search} onPick={onPick} />}
    </Drawer>
  );
}
