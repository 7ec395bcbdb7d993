import { expect, it } from 'vitest';

import { MESSAGES, pickLocale, translate } from './messages';

const holes = (text: string): string[] => [...text.matchAll(/\{\w+\}/g)].map(String).toSorted();

it.each(Object.entries(MESSAGES))('%s has the same holes in both languages', (_, [english, portuguese]) => {
  expect(holes(portuguese)).toEqual(holes(english));
  expect(portuguese).not.toBe('');
});

it('holes are filled, and stay visible when nobody fills them', () => {
  expect(translate('en', 'common.ago', { age: '4s' })).toBe('4s ago');
  expect(translate('pt', 'common.ago', { age: '4s' })).toBe('há 4s');
  expect(translate('en', 'common.ago')).toBe('{age} ago');
});

it.each([
  [['pt-BR', 'en'], 'pt'],
  [['de', 'en-GB'], 'en'],
  [['fr'], 'en'],
  [[], 'en'],
])('a reader of %j gets %s', (languages, locale) => {
  expect(pickLocale(languages)).toBe(locale);
});
