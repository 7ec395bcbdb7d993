import { parser } from '@prometheus-io/lezer-promql';
import { expect, it } from 'vitest';

import { arrivalQueries, exploreQueries, healthQuery, hostQueries, serviceQueries } from './queries';

const all = [
  ...Object.values(hostQueries).map((make) => make('2m')),
  ...Object.values(serviceQueries).map((make) => make('2m')),
  ...Object.values(exploreQueries).map((make) => make('a "quoted" job', '2m')),
  ...Object.values(arrivalQueries),
  healthQuery,
];

it.each(all)('%s is PromQL', (query) => {
  const errors: string[] = [];
  parser.parse(query).iterate({
    enter: (node) => {
      if (node.type.isError) errors.push(query.slice(node.from));
    },
  });
  expect(errors).toEqual([]);
});
