import type { ReactNode } from 'react';

import { type Grid, useGrid } from '../../hooks/useRangeQuery';
import { useI18n } from '../../i18n/context';
import { ErrorNotice, Placeholder } from '../../parts/Notice';
import classes from './home.module.css';
import { Host } from './Host';
import { SendMore } from './SendMore';
import { ServiceRow } from './ServiceRow';
import { Status } from './Status';
import { useFilesystems } from './useFilesystems';
import { type Services, useServices } from './useServices';

const OWN_JOB = 'mirante';

function ServiceList({ services, grid }: { services: Services; grid: Grid }): ReactNode {
  const { t } = useI18n();
  if (services.list.length === 0) return null;
  return (
    <section className={classes['section']} aria-labelledby="services-title">
      <header className={classes['sectionHead']}>
        <h2 id="services-title">{t('home.services')}</h2>
        <span className="dim small">{t('home.services.sub')}</span>
      </header>
      <ul className={classes['services']}>
        {services.list.map((service) => (
          <ServiceRow key={service.job} service={service} times={services.times} grid={grid} />
        ))}
      </ul>
    </section>
  );
}

/** What runs, whether it is broken, and on which machine. */
export function Home(): ReactNode {
  const grid = useGrid();
  const services = useServices(grid);
  const filesystems = useFilesystems();
  // The server serves itself: that is no reason to stop telling how others can send.
  const others = services.list.some(({ job }) => job !== OWN_JOB);
  return (
    <div className={classes['home']}>
      <Status services={services.list} filesystems={filesystems} />
      {services.error && services.error.kind !== 'network' && <ErrorNotice error={services.error} onRetry={services.retry} />}
      {services.loading && !services.error && <Placeholder height={88} />}
      {others && <ServiceList services={services} grid={grid} />}
      {!others && !services.loading && !services.error && <SendMore folded={false} />}
      <Host grid={grid} filesystems={filesystems} />
      {!others && <ServiceList services={services} grid={grid} />}
      {others && <SendMore folded />}
    </div>
  );
}
