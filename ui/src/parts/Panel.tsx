import type { ReactNode } from 'react';

import classes from './parts.module.css';

interface PanelProps {
  title: string;
  sub?: string;
  aside?: ReactNode;
  children: ReactNode;
}

/** A bordered box with a heading. */
export function Panel({ title, sub, aside, children }: PanelProps): ReactNode {
  return (
    <section className={classes['panel']} aria-label={title}>
      <header className={classes['panelHead']}>
        <h3>{title}</h3>
        {sub !== undefined && <span className={`dim small ${classes['panelSub']}`}>{sub}</span>}
        {aside !== undefined && <span className={classes['panelAside']}>{aside}</span>}
      </header>
      {children}
    </section>
  );
}
