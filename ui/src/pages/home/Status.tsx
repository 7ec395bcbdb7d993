import type { ReactNode } from 'react';

import { useInstantQuery } from '../../hooks/useRangeQuery';
import { useI18n } from '../../i18n/context';
import { parseSample } from '../../lib/matrix';
import type { Service, State } from '../../lib/services';
import { StateShape } from '../../parts/StateMark';
import { healthQuery } from '../../promql/queries';
import { useNavigation } from '../../shell/navigation';
import classes from './home.module.css';

interface Down {
  count: number;
  jobs: string[];
}

function useDown(): Down | null {
  const { data } = useInstantQuery(healthQuery);
  if (data === undefined) return null;
  const result = data.data.resultType === 'vector' ? data.data.result : [];
  return {
    count: result.reduce((sum, { value }) => sum + parseSample(value?.[1] ?? '0'), 0),
    jobs: result.map(({ metric }) => metric['job'] ?? '').toSorted(),
  };
}

const jobsIn = (services: Service[], state: State): string =>
  services.filter((service) => service.state === state).map((service) => service.job).join(', ');

/** Is it broken, and what: the first line of the first view. */
export function Status({ services }: { services: Service[] }): ReactNode {
  const { t } = useI18n();
  const { linkTo } = useNavigation();
  const down = useDown();
  if (down === null) return <div className={classes['status']} data-tone="ok" aria-busy />;
  const failing = jobsIn(services, 'failing');
  const warning = jobsIn(services, 'warning');
  const downText = t(down.count === 1 ? 'home.status.down.one' : 'home.status.down', { count: down.count, jobs: down.jobs.join(', ') });
  const tone = failing !== '' || down.count > 0 ? 'failing' : warning !== '' ? 'warning' : 'ok';
  return (
    <div className={classes['status']} data-tone={tone} role="status">
      <StateShape state={tone} />
      <strong>{t(tone === 'ok' ? 'home.status.ok' : 'home.status.bad')}</strong>
      {tone === 'ok' && <span className="dim">{t('home.status.ok.detail')}</span>}
      {failing !== '' && <span>{t('home.status.failing', { jobs: failing })}</span>}
      {warning !== '' && <span>{t('home.status.warning', { jobs: warning })}</span>}
      {down.count > 0 && <a href={linkTo({ view: 'targets', health: 'down' })}>{downText}</a>}
    </div>
  );
}
