import { Button } from '@mantine/core';
import { type MouseEvent, type ReactNode, useEffect, useState } from 'react';

import { useI18n } from '../i18n/context';
import { VIEWS, type View } from '../lib/location';
import { Icon } from '../parts/icons';
import { useClock } from './clock';
import { KeysDialog } from './Keys';
import { useNavigation } from './navigation';
import { Palette, openPalette } from './Palette';
import { Settings } from './Settings';
import classes from './shell.module.css';
import { TimeControls } from './TimeControls';
import { focusSearch, useShortcuts } from './useShortcuts';

function isPlainClick(event: MouseEvent): boolean {
  return event.button === 0 && !event.ctrlKey && !event.metaKey && !event.shiftKey && !event.altKey;
}

function ViewLink({ view }: { view: View }): ReactNode {
  const { t } = useI18n();
  const { state, linkTo, go } = useNavigation();
  return (
    <a
      href={linkTo({ view })}
      className={classes['viewLink']}
      aria-current={state.view === view ? 'page' : undefined}
      onClick={(event) => {
        if (!isPlainClick(event)) return;
        event.preventDefault();
        if (state.view !== view) go({ view });
      }}
    >
      <Icon name={view} size={18} />
      {t(`view.${view}`)}
    </a>
  );
}

function Views(): ReactNode {
  const { t } = useI18n();
  return (
    <nav className={classes['views']} aria-label={t('nav.label')}>
      {VIEWS.map((view) => (
        <ViewLink key={view} view={view} />
      ))}
    </nav>
  );
}

function PaletteButton(): ReactNode {
  const { t } = useI18n();
  return (
    <Button variant="default" size="xs" className={classes['paletteButton'] ?? ''} onClick={openPalette} leftSection={<Icon name="search" />} aria-label={t('palette.open')}>
      <span className={classes['paletteText']}>
        {t('palette.open')} <kbd>Ctrl K</kbd>
      </span>
    </Button>
  );
}

/** The frame of every view: where to go, which time, how it looks. */
export function Shell({ children }: { children: ReactNode }): ReactNode {
  const { t } = useI18n();
  const { refresh } = useClock();
  const { view } = useNavigation().state;
  const [timeOpen, setTimeOpen] = useState(false);
  const [keysOpen, setKeysOpen] = useState(false);
  useEffect(() => {
    document.title = `${t(`view.${view}`)} · mirante`;
  }, [t, view]);
  useShortcuts({
    '/': () => {
      if (!focusSearch()) openPalette();
    },
    t: () => setTimeOpen(true),
    r: refresh,
    '?': () => setKeysOpen(true),
  });
  return (
    <>
      <a className={classes['skip']} href="#content">
        {t('nav.skip')}
      </a>
      <header className={classes['header']}>
        <span className={classes['brand']}>
          <svg width="20" height="20" viewBox="0 0 32 32" fill="none" stroke="currentColor" strokeWidth="3.6" strokeLinecap="round" strokeLinejoin="round" aria-hidden>
            <path d="M5 25V9l11 9 11-9v16" />
          </svg>
          <span className={classes['brandName']}>mirante</span>
        </span>
        <Views />
        <div className={classes['tools']}>
          <PaletteButton />
          <TimeControls open={timeOpen} onOpen={setTimeOpen} />
          <Settings onShowKeys={() => setKeysOpen(true)} />
        </div>
      </header>
      <main id="content" className={classes['main']} tabIndex={-1}>
        {children}
      </main>
      <Palette />
      <KeysDialog opened={keysOpen} onClose={() => setKeysOpen(false)} />
    </>
  );
}
