import { Spotlight, spotlight } from '@mantine/spotlight';
import { type ReactNode, useState } from 'react';

import { fetchLabelValues } from '../api/prometheus';
import { useRemote } from '../hooks/useRemote';
import { useI18n } from '../i18n/context';
import { VIEWS } from '../lib/location';
import { QUICK_RANGES, lastRange, rateWindow } from '../lib/range';
import { searchItems } from '../lib/search';
import { Icon, type IconName } from '../parts/icons';
import { exploreQueries } from '../promql/queries';
import { useNavigation } from './navigation';

interface Entry {
  id: string;
  group: string;
  label: string;
  icon: IconName;
  run: () => void;
}

const SHOWN_PER_GROUP = 8;

function useEntries(open: boolean): Entry[] {
  const { t } = useI18n();
  const { go } = useNavigation();
  const metrics = useRemote(open ? 'metrics' : null, (signal) => fetchLabelValues('__name__', [], signal));
  const jobs = useRemote(open ? 'jobs' : null, (signal) =>
    fetchLabelValues('job', ['http_server_request_duration_seconds_count'], signal),
  );
  const views = VIEWS.map<Entry>((view) => ({
    id: `view ${view}`,
    group: t('palette.views'),
    label: t(`view.${view}`),
    icon: view,
    run: () => go({ view }),
  }));
  const services = (jobs.data ?? []).map<Entry>((job) => ({
    id: `service ${job}`,
    group: t('palette.services'),
    label: job,
    icon: 'explore',
    run: () => go({ view: 'explore', tab: 'graph', queries: Object.values(exploreQueries).map((query) => query(job, rateWindow(0))) }),
  }));
  const names = (metrics.data ?? []).map<Entry>((name) => ({
    id: `metric ${name}`,
    group: t('palette.metrics'),
    label: name,
    icon: 'list',
    run: () => go({ view: 'explore', queries: [name] }),
  }));
  const ranges = QUICK_RANGES.map<Entry>((duration) => ({
    id: `range ${duration}`,
    group: t('palette.ranges'),
    label: t('time.last', { duration }),
    icon: 'clock',
    run: () => go({ range: lastRange(duration) }),
  }));
  return [...views, ...services, ...names, ...ranges];
}

/** Ctrl-K: everything that has a name, one key stroke away. */
export function Palette(): ReactNode {
  const { t } = useI18n();
  const [query, setQuery] = useState('');
  const [open, setOpen] = useState(false);
  const entries = useEntries(open);
  const groups = [...new Set(entries.map((entry) => entry.group))].map((group) => ({
    group,
    found: searchItems(entries.filter((entry) => entry.group === group), query, (entry) => `${entry.group} ${entry.label}`, SHOWN_PER_GROUP),
  }));
  const nothing = groups.every(({ found }) => found.length === 0);
  return (
    <Spotlight.Root
      query={query}
      onQueryChange={setQuery}
      onSpotlightOpen={() => setOpen(true)}
      onSpotlightClose={() => setOpen(false)}
      shortcut={['mod + K']}
      clearQueryOnClose
      scrollable
      maxHeight={440}
      size={560}
      transitionProps={{ duration: 0 }}
      overlayProps={{ blur: 0, backgroundOpacity: 0.4 }}
    >
      <Spotlight.Search placeholder={t('palette.placeholder')} aria-label={t('palette.placeholder')} leftSection={<Icon name="search" />} />
      <Spotlight.ActionsList>
        {groups
          .filter(({ found }) => found.length > 0)
          .map(({ group, found }) => (
            <Spotlight.ActionsGroup key={group} label={group}>
              {found.map((entry) => (
                <Spotlight.Action key={entry.id} label={entry.label} leftSection={<Icon name={entry.icon} />} onClick={entry.run} />
              ))}
            </Spotlight.ActionsGroup>
          ))}
        {nothing && <Spotlight.Empty>{t('palette.nothing')}</Spotlight.Empty>}
      </Spotlight.ActionsList>
    </Spotlight.Root>
  );
}

export const openPalette = (): void => spotlight.open();
