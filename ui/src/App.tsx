import { MantineProvider } from '@mantine/core';
import { type ReactNode, Suspense, lazy } from 'react';

import { I18nProvider } from './i18n/context';
import { Home } from './pages/home/Home';
import { Targets } from './pages/targets/Targets';
import { Placeholder } from './parts/Notice';
import { Boundary } from './shell/Boundary';
import { ClockProvider } from './shell/clock';
import { NavigationProvider, useNavigation } from './shell/navigation';
import { Shell } from './shell/Shell';
import { theme } from './theme';

// The editor is most of the page's weight, and Home must not wait for it.
const Explore = lazy(async () => ({ default: (await import('./pages/explore/Explore')).Explore }));

function CurrentView(): ReactNode {
  const { view } = useNavigation().state;
  return (
    <Boundary resetKey={view}>
      <Suspense fallback={<Placeholder height={320} />}>
        {view === 'home' && <Home />}
        {view === 'explore' && <Explore />}
        {view === 'targets' && <Targets />}
      </Suspense>
    </Boundary>
  );
}

export function App(): ReactNode {
  return (
    <MantineProvider theme={theme} defaultColorScheme="auto">
      <I18nProvider>
        <NavigationProvider>
          <ClockProvider>
            <Shell>
              <CurrentView />
            </Shell>
          </ClockProvider>
        </NavigationProvider>
      </I18nProvider>
    </MantineProvider>
  );
}
