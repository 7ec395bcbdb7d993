export type Scheme = 'light' | 'dark';

/**
 * Series colours keep clear of red, amber and green, which mean state here, and differ in lightness
 * so that they stay apart for colour-blind eyes and in grey.
 */
const SERIES: Record<Scheme, readonly string[]> = {
  light: ['#2f56d0', '#0c8599', '#9c36b5', '#5b6b80', '#d6569b', '#1f3a5f', '#6f5bd6', '#3ba3d8'],
  dark: ['#7a9dff', '#3bc9db', '#d084e8', '#9fb0c7', '#f38fc0', '#c3d3ee', '#a595ff', '#5cbdf0'],
};

const DASHES: readonly (readonly number[])[] = [[], [6, 3], [2, 3], [8, 3, 2, 3]];

export interface ChartTheme {
  grid: string;
  axis: string;
  surface: string;
  warning: string;
  failing: string;
}

export const CHART_THEMES: Record<Scheme, ChartTheme> = {
  light: { grid: '#e9ecf1', axis: '#5a6475', surface: '#ffffff', warning: 'rgba(176, 118, 0, 0.10)', failing: 'rgba(196, 34, 31, 0.09)' },
  dark: { grid: '#222933', axis: '#98a3b5', surface: '#141920', warning: 'rgba(224, 169, 64, 0.10)', failing: 'rgba(255, 123, 114, 0.11)' },
};

/** The look of the series at `index`: past the last colour the same ones return with a dash. */
export function seriesStyle(index: number, scheme: Scheme): { color: string; dash: number[] } {
  const colors = SERIES[scheme];
  const round = Math.floor(index / colors.length);
  return { color: colors[index % colors.length] ?? '#888888', dash: [...(DASHES[round % DASHES.length] ?? [])] };
}

/** `#rrggbb` with an alpha, for fills under a line. */
export function withAlpha(hex: string, alpha: number): string {
  return `${hex}${Math.round(alpha * 255).toString(16).padStart(2, '0')}`;
}
