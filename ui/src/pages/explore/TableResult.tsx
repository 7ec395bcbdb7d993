import type { ReactNode } from 'react';

import type { InstantAnswer } from '../../hooks/useRangeQuery';
import type { Remote } from '../../hooks/useRemote';
import { useI18n } from '../../i18n/context';
import { seriesName } from '../../lib/labels';
import { type TableRow, orderRows, toRows } from '../../lib/matrix';
import { formatMoment } from '../../lib/timeTicks';
import { type Unit, formatExact, formatValue } from '../../lib/units';
import { Empty, Placeholder } from '../../parts/Notice';
import { inferUnit } from '../../promql/unit';
import { useClock } from '../../shell/clock';
import { Annotations } from './Annotations';
import classes from './explore.module.css';

const MAX_ROWS = 500;

function SeriesName({ row }: { row: TableRow }): ReactNode {
  const { __name__: metric, ...labels } = row.labels;
  if (Object.keys(row.labels).length === 0) return <span className="dim">{row.name}</span>;
  return (
    <>
      {metric}
      <span className="dim">{seriesName(labels)}</span>
    </>
  );
}

function Value({ row, unit }: { row: TableRow; unit: Unit }): ReactNode {
  const { locale } = useI18n();
  if (typeof row.value === 'string') return <span className={classes['samples']}>{row.value}</span>;
  const exact = formatExact(row.value, locale);
  return unit === 'number' ? exact : <span title={exact}>{formatValue(row.value, unit, locale)}</span>;
}

/** The values of an instant query. */
export function TableResult({ remote, expression }: { remote: Remote<InstantAnswer>; expression: string }): ReactNode {
  const { locale, t } = useI18n();
  const { nowMs } = useClock();
  const { data } = remote;
  if (data === undefined) return remote.error ? null : <Placeholder height={160} />;
  const rows = orderRows(toRows(data.data), expression);
  if (rows.length === 0) return <Empty title={t('common.noData')}>{t('explore.noSeries')}</Empty>;
  const unit = inferUnit(expression);
  return (
    <div className={classes['result']}>
      <Annotations warnings={data.warnings} infos={data.infos} />
      <div className={classes['tableScroll']}>
        <table className={classes['table']}>
          <thead>
            <tr>
              <th scope="col">{t('explore.series.column')}</th>
              <th scope="col" className={classes['valueColumn']} title={t('explore.at', { time: formatMoment(data.time, nowMs, locale) })}>
                {t('explore.value')}
              </th>
            </tr>
          </thead>
          <tbody>
            {rows.slice(0, MAX_ROWS).map((row) => (
              <tr key={row.name}>
                <td className="mono">
                  <SeriesName row={row} />
                </td>
                <td className={`number ${classes['valueColumn']}`}>
                  <Value row={row} unit={unit} />
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {rows.length > MAX_ROWS && <span className="dim small">{t('explore.rows', { count: MAX_ROWS, total: rows.length })}</span>}
    </div>
  );
}
