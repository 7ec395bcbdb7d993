import { Button, SegmentedControl, TextInput } from '@mantine/core';
import type { ReactNode } from 'react';

import { fetchTargets } from '../../api/prometheus';
import type { ActiveTarget } from '../../api/types';
import { useRemote } from '../../hooks/useRemote';
import { useI18n } from '../../i18n/context';
import { HEALTH_FILTERS, type HealthFilter } from '../../lib/location';
import { countHealth, groupTargets } from '../../lib/targets';
import { waysToSend } from '../../lib/arrivals';
import { CopyBlock } from '../../parts/CopyBlock';
import { Icon } from '../../parts/icons';
import { Empty, ErrorNotice, Placeholder } from '../../parts/Notice';
import { useClock } from '../../shell/clock';
import { useNavigation } from '../../shell/navigation';
import { SEARCH_FIELD } from '../../shell/useShortcuts';
import { TargetGroupPanel } from './TargetGroupPanel';
import classes from './targets.module.css';

function Filters({ targets }: { targets: readonly ActiveTarget[] }): ReactNode {
  const { t } = useI18n();
  const { state, go } = useNavigation();
  const counts = countHealth(targets);
  const words: Record<HealthFilter, string> = {
    all: t('targets.all'),
    up: t('state.up'),
    down: t('state.down'),
    unknown: t('state.unknown'),
  };
  return (
    <div className={classes['filters']}>
      <TextInput
        size="xs"
        className={classes['search'] ?? ''}
        placeholder={t('targets.search')}
        aria-label={t('targets.search')}
        leftSection={<Icon name="search" />}
        value={state.search}
        onChange={(event) => go({ search: event.currentTarget.value }, 'replace')}
        {...{ [SEARCH_FIELD]: true }}
      />
      <SegmentedControl
        size="xs"
        aria-label={t('targets.filter')}
        value={state.health}
        onChange={(value) => go({ health: value }, 'replace')}
        data={HEALTH_FILTERS.map((value) => ({ value, label: `${words[value]} ${counts[value]}` }))}
      />
    </div>
  );
}

function NoTargets(): ReactNode {
  const { t } = useI18n();
  const example = waysToSend(window.location.origin, window.location.hostname).scrape;
  return (
    <Empty title={t('targets.none.title')}>
      <span>{t('targets.none.text')}</span>
      <CopyBlock text={example} label="prometheus.yml" />
      <CopyBlock text="mirante serve --prometheus-config prometheus.yml" label="mirante serve" />
    </Empty>
  );
}

/** Everything that is scraped, by pool, with what is wrong on top. */
export function Targets(): ReactNode {
  const { t } = useI18n();
  const { state, go } = useNavigation();
  const { nowMs } = useClock();
  const remote = useRemote(`targets ${nowMs}`, (signal) => fetchTargets(signal));
  const targets = remote.data?.activeTargets ?? [];
  const groups = groupTargets(targets, state.search, state.health);
  return (
    <div className={classes['targets']}>
      {remote.error && <ErrorNotice error={remote.error} onRetry={remote.retry} />}
      {remote.data === undefined && !remote.error && <Placeholder height={240} />}
      {remote.data !== undefined && targets.length === 0 && <NoTargets />}
      {targets.length > 0 && <Filters targets={targets} />}
      {groups.map((group, index) => (
        <TargetGroupPanel key={group.pool} group={group} headed={index === 0} />
      ))}
      {targets.length > 0 && groups.length === 0 && (
        <Empty title={t('targets.noMatch')}>
          <Button variant="default" size="xs" onClick={() => go({ search: '', health: 'all' })}>
            {t('targets.clear')}
          </Button>
        </Empty>
      )}
    </div>
  );
}
