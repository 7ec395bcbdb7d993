import { type ReactNode, useMemo } from 'react';

import { Chart } from '../../charts/Chart';
import type { ThresholdBand } from '../../charts/options';
import { type Grid, type RangeAnswer, useRangeQuery } from '../../hooks/useRangeQuery';
import type { Remote } from '../../hooks/useRemote';
import { useI18n } from '../../i18n/context';
import { type Frame, withoutFlatZeros } from '../../lib/matrix';
import type { Unit } from '../../lib/units';
import { Empty, ErrorNotice, Placeholder } from '../../parts/Notice';
import { Panel } from '../../parts/Panel';
import { useNavigation } from '../../shell/navigation';
import classes from './home.module.css';

const CHART_HEIGHT = 180;
/** The chart and one line of legend, so that nothing jumps when the data arrive. */
const PANEL_HEIGHT = CHART_HEIGHT + 28;

interface HostChartProps {
  title: string;
  sub: string;
  unit: Unit;
  expression: string;
  /** The label whose value names a series. */
  by: string;
  /** The order of series from the bottom; what is not named comes last. */
  order: readonly string[];
  grid: Grid;
  stacked?: boolean;
  top?: number | undefined;
  bands?: readonly ThresholdBand[] | undefined;
}

function place(order: readonly string[], name: string): number {
  const index = order.indexOf(name);
  return index < 0 ? order.length : index;
}

/** The series from the bottom of the stack up, with what each is called. */
function arrange(frame: Frame, by: string, order: readonly string[]): { frame: Frame; names: string[]; places: number[] } {
  const series = frame.series.toSorted((a, b) => place(order, a.labels[by] ?? '') - place(order, b.labels[by] ?? ''));
  const names = series.map(({ labels }) => labels[by] ?? '');
  const unknown = names.filter((name) => !order.includes(name));
  const places = names.map((name) => place([...order, ...unknown], name));
  return { frame: { times: frame.times, series }, names, places };
}

function Body({ remote, ...props }: HostChartProps & { remote: Remote<RangeAnswer> }): ReactNode {
  const { t } = useI18n();
  const { zoom, zoomBack } = useNavigation();
  const raw = remote.data?.frame;
  const { by, order, stacked = false } = props;
  const arranged = useMemo(() => {
    if (raw === undefined) return null;
    return arrange(stacked ? withoutFlatZeros(raw) : raw, by, order);
  }, [raw, by, order, stacked]);
  if (arranged === null && !remote.error) return <Placeholder height={PANEL_HEIGHT} />;
  if (arranged === null || arranged.names.length === 0) {
    return (
      <div className={classes['noData']} style={{ height: PANEL_HEIGHT }}>
        <Empty title={t(arranged === null ? 'home.notAsked' : 'common.noData')} />
      </div>
    );
  }
  const { title, unit, grid, top, bands } = props;
  return (
    <Chart {...arranged} title={title} unit={unit} window={grid} height={CHART_HEIGHT} stacked={stacked} top={top} bands={bands} onZoom={zoom} onBack={zoomBack} />
  );
}

/** One chart of this host, with the way on to Explore. */
export function HostChart(props: HostChartProps): ReactNode {
  const { title, sub, expression, grid, stacked = false } = props;
  const { t } = useI18n();
  const { linkTo } = useNavigation();
  const remote = useRangeQuery(expression, grid);
  const link = (
    <a className="small" href={linkTo({ view: 'explore', queries: [expression], tab: 'graph', stacked })} aria-label={`${title}: ${t('common.explore')}`}>
      {t('common.explore')}
    </a>
  );
  return (
    <Panel title={title} sub={sub} aside={link}>
      {/* That the server is away is said once, at the top. */}
      {remote.error && remote.error.kind !== 'network' && <ErrorNotice error={remote.error} onRetry={remote.retry} />}
      <Body {...props} remote={remote} />
    </Panel>
  );
}
