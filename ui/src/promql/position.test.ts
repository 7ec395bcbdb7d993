import { expect, it } from 'vitest';

import { errorSpan } from './position';

it.each([
  ['sum bz (up)', 1, 5, 'bz'],
  ['up\nsum(', 2, 4, '('],
  ['up +', 1, 5, '+'],
  ['up', 9, 9, 'p'],
  ['up', 0, 0, 'up'],
])('%j at %i:%i marks %j', (text, line, column, marked) => {
  const span = errorSpan(text, { line, column });
  expect(text.slice(span.from, span.to)).toBe(marked);
});

it('an empty query has an empty mark', () => {
  expect(errorSpan('', { line: 1, column: 1 })).toEqual({ from: 0, to: 0 });
});
