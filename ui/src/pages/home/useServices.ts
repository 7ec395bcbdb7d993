import type { ApiError } from '../../api/errors';
import { queryRange } from '../../api/prometheus';
import type { Grid } from '../../hooks/useRangeQuery';
import { useRemote } from '../../hooks/useRemote';
import { gridOf, toFrame } from '../../lib/matrix';
import { type Service, joinServices } from '../../lib/services';
import { serviceQueries } from '../../promql/queries';

export interface Services {
  list: Service[];
  times: number[];
  loading: boolean;
  error: ApiError | undefined;
  retry: () => void;
}

const NONE: Service[] = [];

/** The three queries behind the services as one: joined from different moments they would show errors that never were. */
export function useServices(grid: Grid): Services {
  const remote = useRemote(`${grid.start} ${grid.end} ${grid.step}`, async (signal) => {
    const expressions = [serviceQueries.requests(grid.rate), serviceQueries.errors(grid.rate), serviceQueries.p95(grid.rate)];
    const answers = await Promise.all(expressions.map((expression) => queryRange(expression, grid, signal)));
    const [requests, errors, p95] = answers.map((answer) => toFrame(answer.data.result, grid));
    return { list: joinServices(requests, errors, p95), times: gridOf(grid.start, grid.end, grid.step) };
  });
  return {
    list: remote.data?.list ?? NONE,
    times: remote.data?.times ?? [],
    loading: remote.data === undefined && remote.loading,
    error: remote.error,
    retry: remote.retry,
  };
}
