import type { ReactNode } from 'react';

import { Chart } from '../../charts/Chart';
import type { ThresholdBand } from '../../charts/options';
import type { Grid } from '../../hooks/useRangeQuery';
import { useI18n } from '../../i18n/context';
import { lastValue } from '../../lib/matrix';
import { FAILING_RATIO, type Service, WARNING_RATIO } from '../../lib/services';
import { type Unit, formatQuantity } from '../../lib/units';
import { StateMark } from '../../parts/StateMark';
import { exploreQueries } from '../../promql/queries';
import { useNavigation } from '../../shell/navigation';
import classes from './home.module.css';

interface MeasureProps {
  service: string;
  title: string;
  hint?: string;
  unit: Unit;
  times: number[];
  values: (number | null)[];
  grid: Grid;
  color: number;
  query: string;
  bands?: readonly ThresholdBand[];
}

const ERROR_BANDS: readonly ThresholdBand[] = [
  { from: WARNING_RATIO, to: FAILING_RATIO, kind: 'warning' },
  { from: FAILING_RATIO, to: 1, kind: 'failing' },
];

/** One number with its unit and its recent course, which leads on to Explore. */
function Measure({ service, title, hint, unit, times, values, grid, color, query, bands }: MeasureProps): ReactNode {
  const { locale, t } = useI18n();
  const { linkTo, zoom, zoomBack } = useNavigation();
  const latest = lastValue(values);
  const quantity = latest === null ? null : formatQuantity(latest, unit, locale);
  return (
    <div className={classes['measure']}>
      <a
        className={classes['figure']}
        href={linkTo({ view: 'explore', queries: [query], tab: 'graph' })}
        title={hint}
        aria-label={`${service}: ${title}, ${t('common.explore')}`}
      >
        <span className={classes['figureTitle']}>{title}</span>
        <span className={classes['figureNumber']}>
          <span className="number">{quantity?.text ?? '–'}</span> <span className={classes['figureUnit']}>{quantity?.unit ?? ''}</span>
        </span>
      </a>
      <div className={classes['spark']}>
        <Chart
          compact
          title={`${service}: ${title}`}
          unit={unit}
          frame={{ times, series: [{ labels: {}, values }] }}
          names={[title]}
          window={grid}
          height={48}
          places={[color]}
          onZoom={zoom}
          onBack={zoomBack}
          bands={bands}
        />
      </div>
    </div>
  );
}

/** A service's health on one line: how much, how wrong, how slow. */
export function ServiceRow({ service, times, grid }: { service: Service; times: number[]; grid: Grid }): ReactNode {
  const { t } = useI18n();
  const { job } = service;
  const shared = { service: job, times, grid };
  return (
    <li className={classes['service']}>
      <div className={classes['serviceName']}>
        <strong>{job}</strong>
        <StateMark state={service.state} />
      </div>
      <Measure {...shared} title={t('home.requests')} unit="requests/s" values={service.requests} color={0} query={exploreQueries.requests(job, grid.rate)} />
      <Measure
        {...shared}
        title={t('home.errors')}
        hint={t('home.errors.hint')}
        unit="ratio"
        values={service.errorRatio}
        color={2}
        query={exploreQueries.errors(job, grid.rate)}
        bands={ERROR_BANDS}
      />
      <Measure
        {...shared}
        title={t('home.p95')}
        hint={t('home.p95.hint')}
        unit="seconds"
        values={service.p95}
        color={1}
        query={exploreQueries.p95(job, grid.rate)}
      />
    </li>
  );
}
