import { Button } from '@mantine/core';
import { type ReactNode, useState } from 'react';

import { useNumber } from '../../hooks/useRangeQuery';
import { useI18n } from '../../i18n/context';
import { type Ways, waysToSend } from '../../lib/arrivals';
import { CopyBlock } from '../../parts/CopyBlock';
import { StateShape } from '../../parts/StateMark';
import { arrivalQueries } from '../../promql/queries';
import classes from './home.module.css';

const WAYS = ['python', 'scrape', 'otlp'] as const;

function Way({ way, text }: { way: keyof Ways; text: string }): ReactNode {
  const { t } = useI18n();
  const arrived = (useNumber(arrivalQueries[way]) ?? 0) > 0;
  return (
    <li className={classes['way']} data-arrived={arrived || undefined}>
      <div className={classes['wayHead']}>
        <strong>{t(`send.${way}`)}</strong>
        <span className={classes['wayState']} data-arrived={arrived || undefined} role="status">
          <StateShape state={arrived ? 'ok' : 'unknown'} />
          {t(arrived ? 'send.arrived' : 'send.waiting')}
        </span>
      </div>
      <span className="dim small">{t(`send.${way}.hint`)}</span>
      <CopyBlock text={text} label={t(`send.${way}`)} />
    </li>
  );
}

/** Three ways to send more, each of which says by itself when it works. */
export function SendMore({ folded }: { folded: boolean }): ReactNode {
  const { t } = useI18n();
  const [open, setOpen] = useState(false);
  const ways = waysToSend(window.location.origin, window.location.hostname);
  if (folded && !open) {
    return (
      <div className={classes['sendFolded']}>
        <Button variant="default" size="xs" onClick={() => setOpen(true)}>
          {t('send.show')}
        </Button>
      </div>
    );
  }
  return (
    <section className={`${classes['section']} ${classes['sendMore']}`} aria-labelledby="send-title">
      <header className={classes['sectionHead']}>
        <h2 id="send-title">{t('send.title')}</h2>
        <span className="dim small">{t('send.sub')}</span>
        {folded && (
          <Button variant="subtle" size="compact-xs" onClick={() => setOpen(false)}>
            {t('send.hide')}
          </Button>
        )}
      </header>
      <ul className={classes['ways']}>
        {WAYS.map((way) => (
          <Way key={way} way={way} text={ways[way]} />
        ))}
      </ul>
    </section>
  );
}
