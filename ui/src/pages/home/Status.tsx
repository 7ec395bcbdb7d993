import type { ReactNode } from 'react';

import type { InstantData } from '../../api/types';
import { useInstantQuery } from '../../hooks/useRangeQuery';
import { useI18n } from '../../i18n/context';
import type { Filesystem } from '../../lib/filesystems';
import { parseSample } from '../../lib/matrix';
import type { Service, State } from '../../lib/services';
import { formatValue } from '../../lib/units';
import { ErrorNotice, Placeholder } from '../../parts/Notice';
import { StateShape } from '../../parts/StateMark';
import { healthQuery } from '../../promql/queries';
import { useClock } from '../../shell/clock';
import { useNavigation } from '../../shell/navigation';
import classes from './home.module.css';

interface Down {
  count: number;
  jobs: string[];
}

function countDown(data: InstantData): Down {
  const result = data.resultType === 'vector' ? data.result : [];
  return {
    count: result.reduce((sum, { value }) => sum + parseSample(value?.[1] ?? '0'), 0),
    jobs: result.map(({ metric }) => metric['job'] ?? '').toSorted(),
  };
}

const jobsIn = (services: Service[], state: State): string =>
  services.filter((service) => service.state === state).map((service) => service.job).join(', ');

type Tone = 'ok' | 'warning' | 'failing';

function worst(tones: readonly Tone[]): Tone {
  if (tones.includes('failing')) return 'failing';
  return tones.includes('warning') ? 'warning' : 'ok';
}

/** Is it broken, and what: the first line of the first view. */
export function Status({ services, filesystems }: { services: Service[]; filesystems: Filesystem[] }): ReactNode {
  const { locale, t } = useI18n();
  const { linkTo } = useNavigation();
  const { refresh } = useClock();
  const health = useInstantQuery(healthQuery);
  // Without an answer nothing may look well, however well it looked before.
  if (health.error) return <ErrorNotice error={health.error} onRetry={refresh} />;
  if (health.data === undefined) return <Placeholder height={44} />;
  const down = countDown(health.data.data);
  const failing = jobsIn(services, 'failing');
  const warning = jobsIn(services, 'warning');
  const full = filesystems.filter(({ state }) => state !== 'ok');
  const tone = worst([
    failing !== '' || down.count > 0 ? 'failing' : 'ok',
    warning !== '' ? 'warning' : 'ok',
    ...full.map(({ state }) => state),
  ]);
  return (
    <div className={classes['status']} data-tone={tone} role="status">
      <StateShape state={tone} />
      <strong>{t(tone === 'ok' ? 'home.status.ok' : 'home.status.bad')}</strong>
      {tone === 'ok' && <span className="dim">{t('home.status.ok.detail')}</span>}
      {failing !== '' && <span>{t('home.status.failing', { jobs: failing })}</span>}
      {down.count > 0 && (
        <a href={linkTo({ view: 'targets', health: 'down' })}>
          {t(down.count === 1 ? 'home.status.down.one' : 'home.status.down', { count: down.count, jobs: down.jobs.join(', ') })}
        </a>
      )}
      {warning !== '' && <span>{t('home.status.warning', { jobs: warning })}</span>}
      {full.map(({ mount, share }) => (
        <span key={mount}>{t('home.status.disk', { mount, share: formatValue(Math.round(share * 100) / 100, 'ratio', locale) })}</span>
      ))}
    </div>
  );
}
