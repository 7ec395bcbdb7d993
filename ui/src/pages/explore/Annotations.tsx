import type { ReactNode } from 'react';

import { useI18n } from '../../i18n/context';
import { StateShape } from '../../parts/StateMark';
import classes from './explore.module.css';

/** What the engine had to remark about a result; a result all the same. */
export function Annotations({ warnings, infos }: { warnings: readonly string[]; infos: readonly string[] }): ReactNode {
  const { t } = useI18n();
  if (warnings.length + infos.length === 0) return null;
  return (
    <ul className={classes['annotations']}>
      {warnings.map((text) => (
        <li key={text} data-kind="warning">
          <StateShape state="warning" />
          <strong>{t('explore.warning')}</strong> {text}
        </li>
      ))}
      {infos.map((text) => (
        <li key={text}>
          <StateShape state="unknown" />
          <strong>{t('explore.info')}</strong> {text}
        </li>
      ))}
    </ul>
  );
}
