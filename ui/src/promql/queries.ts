/** Every query that the page itself asks, in one place. `window` is a duration for `rate()`. */

import { matcher } from '../lib/matrix';

const HTTP = 'http_server_request_duration_seconds';

export const hostQueries = {
  // The mean over cores is the share of the whole machine, whatever its number of cores.
  cpu: (window: string): string => `avg by (cpu_mode) (rate(system_cpu_time_seconds_total{job="host",cpu_mode!="idle"}[${window}]))`,
  memory: (): string => 'sum by (system_memory_state) (system_memory_usage_bytes{job="host",system_memory_state!="free"})',
  disk: (window: string): string => `sum by (disk_io_direction) (rate(system_disk_io_bytes_total{job="host"}[${window}]))`,
  network: (window: string): string =>
    `sum by (network_io_direction) (rate(system_network_io_bytes_total{job="host",network_interface_name!="lo"}[${window}]))`,
  filesystemUsed: (): string =>
    'max by (system_device, system_filesystem_mountpoint) (system_filesystem_usage_bytes{job="host",system_filesystem_state="used"})',
  // What can be used, as df counts it: blocks reserved for root are no room for anybody else.
  filesystemLimit: (): string =>
    'sum by (system_device, system_filesystem_mountpoint) (system_filesystem_usage_bytes{job="host",system_filesystem_state!="reserved"})',
  cores: (): string => 'max(system_cpu_logical_count{job="host"})',
  memoryLimit: (): string => 'max(system_memory_limit_bytes{job="host"})',
  uptime: (): string => 'max(system_uptime_seconds{job="host"})',
  load1: (): string => 'max(system_load1{job="host"})',
};

export const serviceQueries = {
  requests: (window: string): string => `sum by (job) (rate(${HTTP}_count[${window}]))`,
  errors: (window: string): string => `sum by (job) (rate(${HTTP}_count{http_response_status_code=~"5.."}[${window}]))`,
  p95: (window: string): string => `histogram_quantile(0.95, sum by (job, le) (rate(${HTTP}_bucket[${window}])))`,
};

/** The same three for one service, as a reader would go on with them in Explore. */
export const exploreQueries = {
  requests: (job: string, window: string): string => `sum by (http_route) (rate(${HTTP}_count{${matcher('job', job)}}[${window}]))`,
  errors: (job: string, window: string): string => {
    const failed = `sum(rate(${HTTP}_count{${matcher('job', job)},http_response_status_code=~"5.."}[${window}]))`;
    return `${failed}\n  / sum(rate(${HTTP}_count{${matcher('job', job)}}[${window}]))`;
  },
  p95: (job: string, window: string): string =>
    `histogram_quantile(0.95, sum by (http_route, le) (rate(${HTTP}_bucket{${matcher('job', job)}}[${window}])))`,
};

/** What tells that somebody has begun to send: an application, a scrape target, an OTLP client. */
export const arrivalQueries = {
  python: 'count(target_info{job!~"mirante|host",telemetry_sdk_name="mirante"})',
  scrape: 'count(up{job!~"mirante|host"})',
  otlp: 'count(target_info{job!~"mirante|host",telemetry_sdk_name!="mirante"})',
};

export const healthQuery = 'count by (job) (up == 0)';
