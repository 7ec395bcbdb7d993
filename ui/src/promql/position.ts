import type { Position } from '../api/errors';

/** The stretch of a query to mark for an error at `position`: to the end of the word there, at least one character. */
export function errorSpan(text: string, position: Position): { from: number; to: number } {
  const lines = text.split('\n');
  const line = Math.min(Math.max(position.line, 1), lines.length);
  const before = lines.slice(0, line - 1).reduce((sum, each) => sum + each.length + 1, 0);
  const current = lines[line - 1] ?? '';
  const column = Math.min(Math.max(position.column - 1, 0), Math.max(current.length - 1, 0));
  const word = /^[\w:.]+/.exec(current.slice(column))?.[0].length ?? 1;
  const from = before + column;
  return { from, to: Math.min(from + word, text.length) };
}
