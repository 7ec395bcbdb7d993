import { createTheme, type MantineColorsTuple } from '@mantine/core';

const accent: MantineColorsTuple = [
  '#e9eefc', '#d0dafa', '#a3b7f6', '#7a9dff', '#5379ea', '#3f67de', '#2f56d0', '#2748b0', '#203c92', '#182e70',
];

/** From ink to ground; Mantine takes its dark surfaces and borders from here. */
const dark: MantineColorsTuple = [
  '#dde3ec', '#b6c0cf', '#98a3b5', '#6b778a', '#3b4656', '#262e3a', '#141920', '#0d1117', '#0d1117', '#090c11',
];

const SMALL = '12px';
const TEXT = '14px';

/** Two type sizes, square-ish corners, no shadows: what separates things is a border. */
export const theme = createTheme({
  primaryColor: 'accent',
  primaryShade: { light: 6, dark: 3 },
  autoContrast: true,
  colors: { accent, dark },
  fontFamily: "system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', 'DejaVu Sans', sans-serif",
  fontFamilyMonospace: 'var(--mono)',
  fontSizes: { xs: SMALL, sm: TEXT, md: TEXT, lg: TEXT, xl: '20px' },
  spacing: { xs: '4px', sm: '8px', md: '12px', lg: '16px', xl: '24px' },
  radius: { xs: '2px', sm: '4px', md: '4px', lg: '6px', xl: '8px' },
  shadows: { xs: 'none', sm: 'none', md: 'none', lg: 'none', xl: 'none' },
  defaultRadius: 'sm',
  cursorType: 'pointer',
  respectReducedMotion: true,
});
