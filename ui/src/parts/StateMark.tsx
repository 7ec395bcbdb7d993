import type { ReactNode } from 'react';

import { useI18n } from '../i18n/context';
import type { State } from '../lib/services';
import type { Health } from '../lib/targets';
import classes from './parts.module.css';

export type AnyState = State | Health;

type Tone = 'ok' | 'warning' | 'failing' | 'quiet';

const TONES: Record<AnyState, Tone> = {
  ok: 'ok',
  up: 'ok',
  warning: 'warning',
  failing: 'failing',
  down: 'failing',
  silent: 'quiet',
  unknown: 'quiet',
};

function Shape({ tone }: { tone: Tone }): ReactNode {
  switch (tone) {
    case 'ok':
      return <circle cx="6" cy="6" r="5" fill="currentColor" />;
    case 'warning':
      return <path d="M6 .8 11.6 11H.4z" fill="currentColor" />;
    case 'failing':
      return <path d="M6 0l6 6-6 6-6-6z" fill="currentColor" />;
    case 'quiet':
      return <circle cx="6" cy="6" r="4.2" fill="none" stroke="currentColor" strokeWidth="1.6" />;
  }
}

/** The shape of a state without its word, for places where the word stands beside it already. */
export function StateShape({ state }: { state: AnyState }): ReactNode {
  const tone = TONES[state];
  return (
    <svg className={classes['shape']} data-tone={tone} width={12} height={12} viewBox="0 0 12 12" aria-hidden>
      <Shape tone={tone} />
    </svg>
  );
}

/** A state by shape, word and colour, so that none of them alone has to carry it. */
export function StateMark({ state, word }: { state: AnyState; word?: string }): ReactNode {
  const { t } = useI18n();
  return (
    <span className={classes['state']} data-tone={TONES[state]}>
      <StateShape state={state} />
      {word ?? t(`state.${state}`)}
    </span>
  );
}
