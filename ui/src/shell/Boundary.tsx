import { Component, type ReactNode } from 'react';

import { type ApiError, toApiError } from '../api/errors';
import { ErrorNotice } from '../parts/Notice';
import classes from './shell.module.css';

interface Props {
  /** A new value starts over: a view that broke must not keep the next one from showing. */
  resetKey: string;
  children: ReactNode;
}

interface State {
  error: ApiError | null;
  resetKey: string;
}

/** Keeps the frame alive when a view throws. */
export class Boundary extends Component<Props, State> {
  override state: State = { error: null, resetKey: this.props.resetKey };

  static getDerivedStateFromError(error: unknown): Partial<State> {
    return { error: toApiError(error) };
  }

  static getDerivedStateFromProps(props: Props, state: State): Partial<State> | null {
    return props.resetKey === state.resetKey ? null : { error: null, resetKey: props.resetKey };
  }

  override render(): ReactNode {
    const { error } = this.state;
    if (error === null) return this.props.children;
    return (
      <div className={classes['main']}>
        <ErrorNotice error={error} onRetry={() => this.setState({ error: null })} />
      </div>
    );
  }
}
