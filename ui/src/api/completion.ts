import type { PrometheusClient } from '@prometheus-io/codemirror-promql';
import { EqlSingle } from '@prometheus-io/lezer-promql';
import type { Matcher } from '@prometheus-io/codemirror-promql/dist/esm/types';

import { matcher } from '../lib/matrix';
import { fetchLabelNames, fetchLabelValues, fetchMetadata, fetchSeries } from './prometheus';
import type { MetadataByMetric } from './types';

const FRESH_MS = 60_000;
const LOOKBACK_SECONDS = 3600;

/** Remembers an answer for a minute; a failed one is forgotten at once so that the next key stroke asks again. */
export class Cache {
  private readonly entries = new Map<string, { at: number; value: Promise<unknown> }>();

  constructor(private readonly now: () => number = Date.now) {}

  get<T>(key: string, load: () => Promise<T>): Promise<T> {
    const entry = this.entries.get(key);
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- a key is only ever asked with one type
    if (entry !== undefined && this.now() - entry.at < FRESH_MS) return entry.value as Promise<T>;
    const value = load();
    this.entries.set(key, { at: this.now(), value });
    value.catch(() => this.entries.delete(key));
    return value;
  }
}

/** A selector of the metric and of the equality matchers that are already complete. */
export function selectorOf(metricName: string | undefined, matchers: readonly Omit<Matcher, 'matchesEmpty'>[] = []): string[] {
  const inner = matchers.filter(({ type, value }) => type === EqlSingle && value !== '').map(({ name, value }) => matcher(name, value));
  if (!metricName && inner.length === 0) return [];
  return [`${metricName ?? ''}${inner.length > 0 ? `{${inner.join(',')}}` : ''}`];
}

/** What the editor's completion asks for. A completion that fails offers less; the query itself will tell why. */
export class CompletionClient implements PrometheusClient {
  constructor(private readonly cache: Cache = new Cache()) {}

  async labelNames(metricName?: string): Promise<string[]> {
    return this.quiet(`names ${metricName}`, () => fetchLabelNames(selectorOf(metricName)), []);
  }

  async labelValues(labelName: string, metricName?: string, matchers?: Matcher[]): Promise<string[]> {
    const selector = selectorOf(metricName, matchers);
    return this.quiet(`values ${labelName} ${selector.join()}`, () => fetchLabelValues(labelName, selector), []);
  }

  async metricMetadata(): Promise<MetadataByMetric> {
    return this.quiet('metadata', () => fetchMetadata(), {});
  }

  async series(metricName: string, matchers?: Matcher[]): Promise<Map<string, string>[]> {
    const selector = selectorOf(metricName, matchers);
    const end = Math.floor(Date.now() / 1000);
    const load = async (): Promise<Map<string, string>[]> => {
      const found = await fetchSeries(selector, { start: end - LOOKBACK_SECONDS, end });
      return found.map((labels) => new Map(Object.entries(labels)));
    };
    return this.quiet(`series ${selector.join()}`, load, []);
  }

  async metricNames(): Promise<string[]> {
    return this.labelValues('__name__');
  }

  async flags(): Promise<Record<string, string>> {
    return {};
  }

  private async quiet<T>(key: string, load: () => Promise<T>, fallback: T): Promise<T> {
    try {
      return await this.cache.get(key, load);
    } catch {
      return fallback;
    }
  }
}
