import { Modal } from '@mantine/core';
import type { ReactNode } from 'react';

import { useI18n } from '../i18n/context';
import type { MessageKey } from '../i18n/messages';
import classes from './shell.module.css';

const KEYS: readonly (readonly [keys: string, does: MessageKey])[] = [
  ['Ctrl K', 'keys.palette'],
  ['/', 'keys.search'],
  ['t', 'keys.time'],
  ['r', 'keys.refresh'],
  ['Ctrl Enter', 'keys.run'],
  ['?', 'keys.help'],
];

const GESTURES: readonly (readonly [MessageKey, MessageKey])[] = [
  ['keys.drag', 'keys.dragDoes'],
  ['keys.double', 'keys.doubleDoes'],
];

export function KeysDialog({ opened, onClose }: { opened: boolean; onClose: () => void }): ReactNode {
  const { t } = useI18n();
  return (
    <Modal opened={opened} onClose={onClose} title={t('keys.title')} closeButtonProps={{ 'aria-label': t('common.close') }} transitionProps={{ duration: 0 }}>
      <dl className={classes['keys']}>
        {KEYS.map(([keys, does]) => (
          <div key={does}>
            <dt>
              {keys.split(' ').map((key) => (
                <kbd key={key}>{key}</kbd>
              ))}
            </dt>
            <dd>{t(does)}</dd>
          </div>
        ))}
        {GESTURES.map(([gesture, does]) => (
          <div key={does}>
            <dt>{t(gesture)}</dt>
            <dd>{t(does)}</dd>
          </div>
        ))}
      </dl>
    </Modal>
  );
}
