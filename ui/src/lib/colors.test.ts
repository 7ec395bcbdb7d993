import { describe, expect, it } from 'vitest';

import { CHART_THEMES, type Scheme, seriesStyle, withAlpha } from './colors';

function luminance(hex: string): number {
  const channel = (offset: number): number => {
    const value = Number.parseInt(hex.slice(offset, offset + 2), 16) / 255;
    return value <= 0.040_45 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  };
  return 0.2126 * channel(1) + 0.7152 * channel(3) + 0.0722 * channel(5);
}

function contrast(a: string, b: string): number {
  const [low, high] = [luminance(a), luminance(b)].toSorted((x, y) => x - y);
  return ((high ?? 0) + 0.05) / ((low ?? 0) + 0.05);
}

describe.each<Scheme>(['light', 'dark'])('in %s', (scheme) => {
  it('axis text is readable (AA)', () => {
    const theme = CHART_THEMES[scheme];
    expect(contrast(theme.axis, theme.surface)).toBeGreaterThan(4.5);
  });

  it.each([0, 1, 2, 3, 4, 5, 6, 7])('the line of series %i stands out (AA for graphics)', (index) => {
    expect(contrast(seriesStyle(index, scheme).color, CHART_THEMES[scheme].surface)).toBeGreaterThan(2.7);
  });
});

it('past the last colour a dash tells series apart', () => {
  const looks = Array.from({ length: 32 }, (_, index) => JSON.stringify(seriesStyle(index, 'light')));
  expect(new Set(looks).size).toBe(32);
});

it('a fill is its line with an alpha', () => {
  expect(withAlpha('#2f56d0', 0.1)).toBe('#2f56d01a');
});
