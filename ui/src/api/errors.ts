/** A place in a query, both counted from one as the server does. */
export interface Position {
  line: number;
  column: number;
}

/** What failed: the reader's query, the server, the way to it, or an answer that is no answer. */
export type ErrorKind = 'query' | 'timeout' | 'server' | 'network' | 'protocol';

/** The one shape of every failed request. */
export class ApiError extends Error {
  override readonly name = 'ApiError';

  constructor(
    readonly kind: ErrorKind,
    message: string,
    readonly position?: Position,
  ) {
    super(message);
  }
}

/** The `line:column` that a PromQL error names, wherever it stands in the sentence. */
export function positionIn(message: string): Position | undefined {
  const match = /(?:^|[\s(])(\d+):(\d+)(?=[:\s),]|$)/.exec(message) ?? /\bchar(?:acter)? (\d+)/i.exec(message);
  if (match === null) return undefined;
  if (match[2] === undefined) return { line: 1, column: Number(match[1]) };
  return { line: Number(match[1]), column: Number(match[2]) };
}

/** Maps the envelope's `errorType`, or the status where no envelope came, to a kind. */
export function kindOf(errorType: string | undefined, status: number): ErrorKind {
  if (errorType === 'bad_data' || errorType === 'execution') return 'query';
  if (errorType === 'timeout' || errorType === 'canceled') return 'timeout';
  if (errorType === undefined && status < 500) return 'protocol';
  return 'server';
}

export function toApiError(error: unknown): ApiError {
  if (error instanceof ApiError) return error;
  return new ApiError('network', error instanceof Error ? error.message : String(error));
}

export function isAbort(error: unknown): boolean {
  return error instanceof DOMException && error.name === 'AbortError';
}
