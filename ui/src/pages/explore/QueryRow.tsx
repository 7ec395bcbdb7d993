import { ActionIcon, Button, Tooltip } from '@mantine/core';
import { type ReactNode, useState } from 'react';

import type { ApiError } from '../../api/errors';
import { useI18n } from '../../i18n/context';
import { Icon } from '../../parts/icons';
import classes from './explore.module.css';
import { QueryEditor } from './QueryEditor';

export const letterOf = (index: number): string => String.fromCodePoint(65 + (index % 26));

interface QueryRowProps {
  index: number;
  query: string;
  error: ApiError | undefined;
  loading: boolean;
  removable: boolean;
  onRun: (query: string) => void;
  onRemove: () => void;
}

/** One query: its editor, and what to do with it. */
export function QueryRow({ index, query, error, loading, removable, onRun, onRemove }: QueryRowProps): ReactNode {
  const { t } = useI18n();
  const [draft, setDraft] = useState({ from: query, text: query });
  // A new query in the link (palette, back button, metric browser) replaces the draft.
  if (draft.from !== query) setDraft({ from: query, text: query });
  const letter = letterOf(index);
  return (
    <div className={classes['queryRow']}>
      <span className={classes['letter']} aria-hidden>
        {letter}
      </span>
      <QueryEditor
        label={t('explore.query', { letter })}
        value={draft.text}
        onChange={(text) => setDraft({ from: query, text })}
        onRun={() => onRun(draft.text)}
        errorAt={error?.position}
        primary={index === 0}
      />
      <Button size="xs" className={classes['run'] ?? ''} loading={loading} loaderProps={{ size: 14 }} onClick={() => onRun(draft.text)} variant={draft.text === query ? 'default' : 'filled'}>
        {t('explore.run')}
      </Button>
      {removable && (
        <Tooltip label={t('explore.remove', { letter })}>
          <ActionIcon variant="subtle" color="gray" size={30} aria-label={t('explore.remove', { letter })} onClick={onRemove}>
            <Icon name="close" />
          </ActionIcon>
        </Tooltip>
      )}
    </div>
  );
}
