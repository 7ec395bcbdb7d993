import { type ReactNode, useMemo } from 'react';

import { Chart } from '../../charts/Chart';
import type { Grid, RangeAnswer } from '../../hooks/useRangeQuery';
import type { Remote } from '../../hooks/useRemote';
import { useI18n } from '../../i18n/context';
import { legendNames } from '../../lib/labels';
import { type Frame, largestSeries } from '../../lib/matrix';
import { inferUnit } from '../../promql/unit';
import { Empty, Placeholder } from '../../parts/Notice';
import { useNavigation } from '../../shell/navigation';
import { Annotations } from './Annotations';
import classes from './explore.module.css';

const HEIGHT = 320;
/** More lines than this are a blur that costs seconds to draw. */
const MAX_SERIES = 100;

function Drawn({ frame, expression, grid, stacked }: { frame: Frame; expression: string; grid: Grid; stacked: boolean }): ReactNode {
  const { t } = useI18n();
  const { zoom, zoomBack } = useNavigation();
  const shown = useMemo(() => largestSeries(frame, MAX_SERIES), [frame]);
  const names = useMemo(() => legendNames(shown.series.map(({ labels }) => labels)), [shown]);
  return (
    <>
      {shown.series.length < frame.series.length && (
        <span className="dim small">{t('explore.capped', { count: shown.series.length, total: frame.series.length })}</span>
      )}
      <Chart
        title={expression}
        unit={inferUnit(expression)}
        frame={shown}
        names={names}
        window={grid}
        height={HEIGHT}
        stacked={stacked}
        legendRows
        onZoom={zoom}
        onBack={zoomBack}
      />
    </>
  );
}

export function GraphResult({ remote, expression, grid, stacked }: { remote: Remote<RangeAnswer>; expression: string; grid: Grid; stacked: boolean }): ReactNode {
  const { t } = useI18n();
  const { data } = remote;
  if (data === undefined) return remote.error ? null : <Placeholder height={HEIGHT} />;
  return (
    <div className={classes['result']}>
      <Annotations warnings={data.warnings} infos={data.infos} />
      {data.frame.series.length === 0 ? (
        <Empty title={t('common.noData')}>{t('explore.noSeries')}</Empty>
      ) : (
        <Drawn frame={data.frame} expression={expression} grid={grid} stacked={stacked} />
      )}
    </div>
  );
}
