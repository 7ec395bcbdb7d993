import { type Params, request } from './client';
import type { Annotated, BuildInfo, InstantData, Labels, MetadataByMetric, RangeData, Session, TargetsData } from './types';

type Signal = AbortSignal | undefined;

async function data<T>(path: string, params: Params, signal: Signal): Promise<T> {
  return (await request<T>(path, params, { signal })).data;
}

export function queryInstant(query: string, time: number, signal?: Signal): Promise<Annotated<InstantData>> {
  return request<InstantData>('query', { query, time }, { signal, post: true });
}

export function queryRange(
  query: string,
  range: { start: number; end: number; step: number },
  signal?: Signal,
): Promise<Annotated<RangeData>> {
  return request<RangeData>('query_range', { query, ...range }, { signal, post: true });
}

export function fetchSeries(matchers: readonly string[], range: { start: number; end: number }, signal?: Signal): Promise<Labels[]> {
  return data<Labels[]>('series', { 'match[]': matchers, ...range }, signal);
}

export function fetchLabelNames(matchers: readonly string[], signal?: Signal): Promise<string[]> {
  return data<string[]>('labels', { 'match[]': matchers }, signal);
}

export function fetchLabelValues(label: string, matchers: readonly string[] = [], signal?: Signal): Promise<string[]> {
  return data<string[]>(`label/${encodeURIComponent(label)}/values`, { 'match[]': matchers }, signal);
}

export function fetchMetadata(signal?: Signal): Promise<MetadataByMetric> {
  return data<MetadataByMetric>('metadata', {}, signal);
}

export function fetchTargets(signal?: Signal): Promise<TargetsData> {
  return data<TargetsData>('targets', {}, signal);
}

/** Who is signed in, where the server asks for it. */
export function fetchSession(signal?: Signal): Promise<Session> {
  return data<Session>('session', {}, signal);
}

export function fetchBuildInfo(signal?: Signal): Promise<BuildInfo> {
  return data<BuildInfo>('status/buildinfo', {}, signal);
}
