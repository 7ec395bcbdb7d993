import { ActionIcon, CopyButton, Tooltip } from '@mantine/core';
import { Fragment, type ReactNode } from 'react';

import { useI18n } from '../i18n/context';
import { Icon } from './icons';
import classes from './parts.module.css';

/** Text to take away: a command, a few lines of code. */
export function CopyBlock({ text, label }: { text: string; label: string }): ReactNode {
  const { t } = useI18n();
  return (
    <div className={classes['copyBlock']}>
      <pre>
        {text.split(/(?<==)/).map((piece, index) => (
          // The pieces of one text have no name but their place.
          // oxlint-disable-next-line react/no-array-index-key
          <Fragment key={index}>
            {piece}
            <wbr />
          </Fragment>
        ))}
      </pre>
      <CopyButton value={text} timeout={2000}>
        {({ copied, copy }) => (
          <Tooltip label={copied ? t('common.copied') : t('common.copy')}>
            <ActionIcon variant="subtle" color="gray" onClick={copy} aria-label={`${copied ? t('common.copied') : t('common.copy')}: ${label}`}>
              <Icon name={copied ? 'check' : 'copy'} />
            </ActionIcon>
          </Tooltip>
        )}
      </CopyButton>
    </div>
  );
}
