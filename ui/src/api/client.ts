import { ApiError, isAbort, kindOf, positionIn } from './errors';
import type { Annotated } from './types';

/** Parameters of a request; a list is sent as a repeated parameter (`match[]`). */
export type Params = Readonly<Record<string, string | number | readonly string[] | undefined>>;

interface Envelope {
  status: 'success' | 'error';
  data?: unknown;
  errorType?: string;
  error?: string;
  warnings?: string[];
  infos?: string[];
}

/** The API's root for a page at `pathname`: every view is one segment deep, so the folder of the path is the prefix. */
export function apiRoot(pathname: string): string {
  return `${pageRoot(pathname)}api/v1/`;
}

/** The same root without the API: where `login` and `logout` are. */
export function pageRoot(pathname: string): string {
  return pathname.slice(0, pathname.lastIndexOf('/') + 1);
}

/** Leads to the form that asks for a token, and from there back to this view; the request is never answered. */
function signIn(): Promise<never> {
  const { pathname, search } = globalThis.location;
  globalThis.location.assign(`${pageRoot(pathname)}login?next=${encodeURIComponent(pathname + search)}`);
  return new Promise<never>(() => {});
}

export function encodeParams(params: Params): URLSearchParams {
  const search = new URLSearchParams();
  for (const [key, value] of Object.entries(params)) {
    if (value === undefined) continue;
    if (typeof value === 'object') value.forEach((item) => search.append(key, item));
    else search.append(key, String(value));
  }
  return search;
}

function isEnvelope(body: unknown): body is Envelope {
  return typeof body === 'object' && body !== null && 'status' in body;
}

function unwrap(body: unknown, response: Response): Envelope {
  if (!isEnvelope(body)) {
    throw new ApiError(kindOf(undefined, response.status), `The server answered ${response.status} with no Prometheus envelope.`);
  }
  if (body.status === 'error') {
    const message = body.error ?? `The server answered ${response.status}.`;
    throw new ApiError(kindOf(body.errorType, response.status), message, positionIn(message));
  }
  return body;
}

async function send(url: string, init: RequestInit): Promise<Response> {
  try {
    return await fetch(url, init);
  } catch (error) {
    if (isAbort(error)) throw error;
    throw new ApiError('network', `No answer from ${new URL(url, globalThis.location.href).origin}.`);
  }
}

async function readJson(response: Response): Promise<unknown> {
  try {
    return await response.json();
  } catch (error) {
    if (isAbort(error)) throw error;
    throw new ApiError(kindOf(undefined, response.status), `The server answered ${response.status} ${response.statusText}`.trim());
  }
}

/**
 * One request to the API. The caller names the shape of `data`; the envelope is checked here, once.
 * Queries go by POST because a long expression does not fit a URL.
 */
export async function request<T>(
  path: string,
  params: Params = {},
  options: { signal?: AbortSignal | undefined; post?: boolean; root?: string } = {},
): Promise<Annotated<T>> {
  const root = options.root ?? apiRoot(globalThis.location.pathname);
  const search = encodeParams(params);
  const init: RequestInit = { headers: { Accept: 'application/json' } };
  if (options.signal) init.signal = options.signal;
  let url = root + path;
  if (options.post) {
    init.method = 'POST';
    init.body = search;
  } else if (search.size > 0) {
    url += `?${search}`;
  }
  const response = await send(url, init);
  if (response.status === 401) return signIn();
  const body = unwrap(await readJson(response), response);
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the one place where the server's word for its shapes is taken
  return { data: body.data as T, warnings: body.warnings ?? [], infos: body.infos ?? [] };
}
