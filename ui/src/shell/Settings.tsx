import { ActionIcon, type MantineColorScheme, Popover, SegmentedControl, Tooltip, UnstyledButton, useMantineColorScheme } from '@mantine/core';
import { type ReactNode, useState } from 'react';

import { pageRoot } from '../api/client';
import { fetchSession } from '../api/prometheus';
import { useRemote } from '../hooks/useRemote';
import { useI18n } from '../i18n/context';
import { Icon } from '../parts/icons';
import classes from './shell.module.css';

const SCHEMES: readonly MantineColorScheme[] = ['auto', 'light', 'dark'];

/** Colours, language and the way to the list of keys. */
export function Settings({ onShowKeys }: { onShowKeys: () => void }): ReactNode {
  const { t, locale, setLocale } = useI18n();
  const { colorScheme, setColorScheme } = useMantineColorScheme();
  const [open, setOpen] = useState(false);
  const session = useRemote(open ? 'session' : null, fetchSession).data;
  return (
    <Popover opened={open} onChange={setOpen} position="bottom-end" width={280} trapFocus returnFocus transitionProps={{ duration: 0 }}>
      <Popover.Target>
        <Tooltip label={t('settings.open')} disabled={open}>
          <ActionIcon variant="default" size={30} aria-label={t('settings.open')} aria-expanded={open} onClick={() => setOpen(!open)}>
            <Icon name="settings" />
          </ActionIcon>
        </Tooltip>
      </Popover.Target>
      <Popover.Dropdown>
        <div className={classes['settings']}>
          <span id="settings-scheme">{t('settings.scheme')}</span>
          <SegmentedControl
            size="xs"
            fullWidth
            aria-labelledby="settings-scheme"
            value={colorScheme}
            onChange={(value) => setColorScheme(value)}
            data={SCHEMES.map((value) => ({ value, label: t(`settings.${value}`) }))}
          />
          <span id="settings-language">{t('settings.language')}</span>
          <SegmentedControl
            size="xs"
            fullWidth
            aria-labelledby="settings-language"
            value={locale}
            onChange={(value) => setLocale(value)}
            data={[
              { value: 'en', label: 'English' },
              { value: 'pt', label: 'Português' },
            ]}
          />
          <UnstyledButton
            className={classes['settingsLink'] ?? ''}
            onClick={() => {
              setOpen(false);
              onShowKeys();
            }}
          >
            {t('settings.keys')} <kbd>?</kbd>
          </UnstyledButton>
          {session?.signedIn === true && (
            <form method="post" action={`${pageRoot(globalThis.location.pathname)}logout`}>
              <UnstyledButton type="submit" className={classes['settingsLink'] ?? ''}>
                {t('settings.signOut')} <span>{session.name}</span>
              </UnstyledButton>
            </form>
          )}
        </div>
      </Popover.Dropdown>
    </Popover>
  );
}
