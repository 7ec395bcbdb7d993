import type { ReactNode } from 'react';

import type { ActiveTarget, Labels } from '../../api/types';
import { useI18n } from '../../i18n/context';
import { formatAge } from '../../lib/duration';
import { type TargetGroup, healthOf, scrapeAge } from '../../lib/targets';
import { formatValue } from '../../lib/units';
import { StateMark } from '../../parts/StateMark';
import { useClock } from '../../shell/clock';
import classes from './targets.module.css';

function LabelList({ labels }: { labels: Labels }): ReactNode {
  return (
    <span className={classes['labels']}>
      {Object.entries(labels).map(([name, value]) => (
        <span key={name} className={`mono ${classes['label']}`}>
          <span className="dim">{name}=</span>
          {value}
        </span>
      ))}
    </span>
  );
}

function TargetRow({ target }: { target: ActiveTarget }): ReactNode {
  const { locale, t } = useI18n();
  const { nowMs } = useClock();
  const age = scrapeAge(target.lastScrape, nowMs);
  return (
    <>
      <tr data-error={target.lastError !== '' || undefined}>
        <td className={classes['state']} data-title={t('targets.state')}>
          <StateMark state={healthOf(target)} />
        </td>
        <td className={`mono ${classes['endpoint']}`} data-title={t('targets.endpoint')}>
          {target.scrapeUrl}
        </td>
        <td data-title={t('targets.labels')}>
          <LabelList labels={target.labels} />
        </td>
        <td className={`number ${classes['right']}`} data-title={t('targets.lastScrape')}>
          {age === null ? t('common.never') : t('common.ago', { age: formatAge(age) })}
        </td>
        <td className={`number ${classes['right']}`} data-title={t('targets.duration')}>
          {age === null ? '–' : formatValue(target.lastScrapeDuration, 'seconds', locale)}
        </td>
      </tr>
      {target.lastError !== '' && (
        <tr className={classes['errorRow']}>
          <td colSpan={5} className="mono">
            {target.lastError}
          </td>
        </tr>
      )}
    </>
  );
}

export function TargetGroupPanel({ group, headed }: { group: TargetGroup; headed: boolean }): ReactNode {
  const { t } = useI18n();
  const interval = group.targets[0]?.scrapeInterval;
  return (
    <section className={classes['group']} aria-label={group.pool}>
      <header className={classes['groupHead']}>
        <h2>{group.pool}</h2>
        <span className="number small dim">
          {t('targets.upOf', { up: group.up, total: group.targets.length })}
          {interval ? ` · ${t('targets.interval', { interval })}` : ''}
        </span>
      </header>
      <table className={classes['table']}>
        <thead data-hidden={!headed || undefined}>
          <tr>
            <th scope="col" className={classes['state']}>{t('targets.state')}</th>
            <th scope="col">{t('targets.endpoint')}</th>
            <th scope="col">{t('targets.labels')}</th>
            <th scope="col" className={classes['right']}>{t('targets.lastScrape')}</th>
            <th scope="col" className={classes['right']}>{t('targets.duration')}</th>
          </tr>
        </thead>
        <tbody>
          {group.targets.map((target) => (
            <TargetRow key={`${target.scrapeUrl} ${target.labels['instance'] ?? ''}`} target={target} />
          ))}
        </tbody>
      </table>
    </section>
  );
}
