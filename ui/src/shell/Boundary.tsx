import { Button } from '@mantine/core';
import { Component, type ReactNode } from 'react';

import { useI18n } from '../i18n/context';
import { Empty } from '../parts/Notice';

interface Props {
  /** A new value starts over: a view that broke must not keep the next one from showing. */
  resetKey: string;
  children: ReactNode;
}

interface State {
  message: string | null;
  resetKey: string;
}

function Crash({ message, onRetry }: { message: string; onRetry: () => void }): ReactNode {
  const { t } = useI18n();
  return (
    <div role="alert">
      <Empty title={t('error.crash')}>
        <span className="mono">{message}</span>
        <Button size="xs" variant="default" onClick={onRetry}>
          {t('common.retry')}
        </Button>
      </Empty>
    </div>
  );
}

/** Keeps the frame alive when a view throws. */
export class Boundary extends Component<Props, State> {
  override state: State = { message: null, resetKey: this.props.resetKey };

  static getDerivedStateFromError(error: unknown): Partial<State> {
    return { message: error instanceof Error ? error.message : String(error) };
  }

  static getDerivedStateFromProps(props: Props, state: State): Partial<State> | null {
    return props.resetKey === state.resetKey ? null : { message: null, resetKey: props.resetKey };
  }

  override render(): ReactNode {
    const { message } = this.state;
    if (message === null) return this.props.children;
    return <Crash message={message} onRetry={() => this.setState({ message: null })} />;
  }
}
