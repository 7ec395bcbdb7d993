import type { ReactNode } from 'react';

import { useI18n } from '../../i18n/context';
import type { Filesystem } from '../../lib/filesystems';
import { formatValue } from '../../lib/units';
import { Panel } from '../../parts/Panel';
import { StateMark } from '../../parts/StateMark';
import classes from './home.module.css';

function Row({ filesystem }: { filesystem: Filesystem }): ReactNode {
  const { locale, t } = useI18n();
  const { mount, device, used, limit, share, state } = filesystem;
  return (
    <li className={classes['filesystem']}>
      <span className={classes['mount']} title={device}>
        <span className="mono">{mount}</span>
      </span>
      <span className={classes['meter']} data-state={state} role="meter" aria-label={mount} aria-valuemin={0} aria-valuemax={100} aria-valuenow={Math.round(share * 100)}>
        <span style={{ width: `${Math.min(100, share * 100)}%` }} />
      </span>
      <span className={`number ${classes['share']}`}>{formatValue(Math.round(share * 100) / 100, 'ratio', locale)}</span>
      <span className={`number dim ${classes['capacity']}`}>
        {t('common.of', { part: formatValue(used, 'bytes', locale), whole: formatValue(limit, 'bytes', locale) })}
      </span>
      <span className={classes['diskState']}>{state !== 'ok' && <StateMark state={state} word={t(`home.disk.${state}`)} />}</span>
    </li>
  );
}

/** How full each file system is, the fullest first. */
export function Filesystems({ list }: { list: Filesystem[] }): ReactNode {
  const { t } = useI18n();
  if (list.length === 0) return null;
  return (
    <Panel title={t('home.filesystems')}>
      <ul className={classes['filesystems']}>
        {list.map((filesystem) => (
          <Row key={`${filesystem.device} ${filesystem.mount}`} filesystem={filesystem} />
        ))}
      </ul>
    </Panel>
  );
}
