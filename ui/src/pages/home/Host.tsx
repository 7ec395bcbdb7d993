import type { ReactNode } from 'react';

import type { InstantData } from '../../api/types';
import type { ThresholdBand } from '../../charts/options';
import { type Grid, useInstantQuery, useNumber } from '../../hooks/useRangeQuery';
import { useI18n } from '../../i18n/context';
import { formatAge } from '../../lib/duration';
import type { Filesystem } from '../../lib/filesystems';
import { formatValue } from '../../lib/units';
import { CopyBlock } from '../../parts/CopyBlock';
import { Empty } from '../../parts/Notice';
import { hostQueries } from '../../promql/queries';
import { Filesystems } from './Filesystems';
import classes from './home.module.css';
import { HostChart } from './HostChart';

function bandsOf(top: number): ThresholdBand[] {
  return [
    { from: top * 0.85, to: top * 0.95, kind: 'warning' },
    { from: top * 0.95, to: top, kind: 'failing' },
  ];
}

const CPU_BANDS = bandsOf(1);
const CPU_ORDER = ['user', 'system', 'iowait', 'nice', 'irq', 'softirq', 'steal'];
const DISK_ORDER = ['read', 'write'];
const NETWORK_ORDER = ['receive', 'transmit'];
const MEMORY_ORDER = ['used', 'cached', 'buffers', 'shared'];

function Facts(): ReactNode {
  const { locale, t } = useI18n();
  const uptime = useNumber(hostQueries.uptime());
  const load = useNumber(hostQueries.load1());
  const cores = useNumber(hostQueries.cores());
  const facts = [
    uptime === null ? null : t('home.uptime', { age: formatAge(uptime * 1000) }),
    load === null || cores === null ? null : t('home.load', { load: formatValue(load, 'number', locale), cores: formatValue(cores, 'number', locale) }),
  ].filter((fact) => fact !== null);
  return <span className="dim small number">{facts.join(' · ')}</span>;
}

function isEmpty(data: InstantData | undefined): boolean {
  return data?.resultType === 'vector' && data.result.length === 0;
}

/** Why there may be nothing, and the command that changes it. */
function Silence(): ReactNode {
  const { t } = useI18n();
  const cores = useInstantQuery(hostQueries.cores());
  if (!isEmpty(cores.data?.data)) return null;
  return (
    <Empty title={t('home.host.empty')}>
      <span>{t('home.host.emptyHint')}</span>
      <CopyBlock text="mirante serve --host-metrics" label="mirante serve" />
    </Empty>
  );
}

/** The machine under the server: what it does, and how near its limits it is. */
export function Host({ grid, filesystems }: { grid: Grid; filesystems: Filesystem[] }): ReactNode {
  const { t } = useI18n();
  const memoryLimit = useNumber(hostQueries.memoryLimit()) ?? undefined;
  return (
    <section className={classes['section']} aria-labelledby="host-title">
      <header className={classes['sectionHead']}>
        <h2 id="host-title">{t('home.host')}</h2>
        <Facts />
      </header>
      <Silence />
      <div className={classes['charts']}>
        <HostChart
          title={t('home.cpu')}
          sub={t('home.cpu.sub')}
          unit="ratio"
          expression={hostQueries.cpu(grid.ownRate)}
          by="cpu_mode"
          order={CPU_ORDER}
          grid={grid}
          stacked
          top={1}
          bands={CPU_BANDS}
        />
        <HostChart
          title={t('home.memory')}
          sub={t('home.memory.sub')}
          unit="bytes"
          expression={hostQueries.memory()}
          by="system_memory_state"
          order={MEMORY_ORDER}
          grid={grid}
          stacked
          top={memoryLimit}
        />
        <HostChart title={t('home.disk')} sub={t('home.disk.sub')} unit="bytes/s" expression={hostQueries.disk(grid.ownRate)} by="disk_io_direction" order={DISK_ORDER} grid={grid} />
        <HostChart
          title={t('home.network')}
          sub={t('home.network.sub')}
          unit="bytes/s"
          expression={hostQueries.network(grid.ownRate)}
          by="network_io_direction"
          order={NETWORK_ORDER}
          grid={grid}
        />
      </div>
      <Filesystems list={filesystems} />
    </section>
  );
}
