import { expect, it } from 'vitest';

import { inferUnit } from './unit';

it.each([
  ['up', 'number'],
  ['', 'number'],
  ['1 +', 'number'],
  ['node_memory_MemFree_bytes', 'bytes'],
  ['-node_memory_MemFree_bytes offset 5m', 'bytes'],
  ['rate(node_network_receive_bytes_total[5m])', 'bytes/s'],
  ['sum by (job) (irate(http_requests_total{code="200"}[5m]))', 'requests/s'],
  ['rate(http_server_request_duration_seconds_count[5m])', 'requests/s'],
  ['rate(go_gc_cycles_total[5m])', 'per second'],
  ['histogram_quantile(0.95, sum by (le) (rate(http_server_request_duration_seconds_bucket[5m])))', 'seconds'],
  ['rate(x_request_duration_seconds_sum[5m]) / rate(x_request_duration_seconds_count[5m])', 'seconds'],
  ['sum(rate(a_requests_total{code="500"}[5m])) / sum(rate(a_requests_total[5m]))', 'ratio'],
  ['rate(process_cpu_seconds_total[1m])', 'ratio'],
  ['a_used_bytes / a_limit_bytes', 'ratio'],
  ['100 * (a_used_bytes / a_limit_bytes)', 'number'],
  ['a_bytes / 1024', 'bytes'],
  ['a_bytes * 2', 'bytes'],
  ['a_bytes * b_seconds', 'number'],
  ['a_bytes / b_seconds', 'number'],
  ['a_bytes + b_bytes', 'bytes'],
  ['1 - a_ratio', 'ratio'],
  ['count(a_bytes)', 'number'],
  ['count by (job) (a_bytes)', 'number'],
  ['topk(3, a_bytes)', 'bytes'],
  ['count_over_time(a_bytes[5m])', 'number'],
  ['max_over_time(rate(a_bytes_total[1m])[5m:1m])', 'bytes/s'],
  ['process_start_time_seconds', 'timestamp'],
  ['time() - process_start_time_seconds', 'seconds'],
  ['quantile_over_time(0.9, a_seconds[5m])', 'seconds'],
  ['{job="x"}', 'number'],
])('%s is measured in %s', (expression, unit) => {
  expect(inferUnit(expression)).toBe(unit);
});
