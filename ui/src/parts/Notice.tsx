import { Button, Skeleton } from '@mantine/core';
import type { ReactNode } from 'react';

import type { ApiError } from '../api/errors';
import { useDelayed } from '../hooks/useDelayed';
import { useI18n } from '../i18n/context';
import classes from './parts.module.css';

/** What failed, in the server's own words, and the way to try again. */
export function ErrorNotice({ error, onRetry, children }: { error: ApiError; onRetry: () => void; children?: ReactNode }): ReactNode {
  const { t } = useI18n();
  return (
    <div className={classes['error']} role="alert">
      <div className={classes['errorText']}>
        <strong>{t(`error.${error.kind}`)}</strong>
        <span className="mono">{error.message}</span>
        {children}
      </div>
      <Button size="xs" variant="default" onClick={onRetry}>
        {t('common.retry')}
      </Button>
    </div>
  );
}

/** What is missing, and below it what would fill it. */
export function Empty({ title, children }: { title: string; children?: ReactNode }): ReactNode {
  return (
    <div className={classes['empty']}>
      <strong>{title}</strong>
      {children}
    </div>
  );
}

/** Keeps the place of what is on its way; shows itself only once that takes long. */
export function Placeholder({ height }: { height: number }): ReactNode {
  const { t } = useI18n();
  const late = useDelayed(true);
  return (
    <div style={{ height }} role="status" aria-busy aria-label={t('common.loading')}>
      {late && <Skeleton height={height} radius="sm" />}
    </div>
  );
}
