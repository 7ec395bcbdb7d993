import { EditorState } from '@codemirror/state';
import { EditorView } from '@codemirror/view';
import { type ReactNode, useEffect, useRef } from 'react';

import type { Position } from '../../api/errors';
import { useI18n } from '../../i18n/context';
import { errorSpan } from '../../promql/position';
import { SEARCH_FIELD } from '../../shell/useShortcuts';
import { editorExtensions, markError } from './editor';
import classes from './explore.module.css';

interface QueryEditorProps {
  label: string;
  value: string;
  onChange: (text: string) => void;
  onRun: () => void;
  errorAt: Position | undefined;
  /** Whether `/` leads here. */
  primary: boolean;
}

/** A PromQL editor whose text belongs to the caller. */
export function QueryEditor({ label, value, onChange, onRun, errorAt, primary }: QueryEditorProps): ReactNode {
  const { t } = useI18n();
  const host = useRef<HTMLDivElement>(null);
  const view = useRef<EditorView | null>(null);
  const handlers = useRef({ onChange, onRun, value });
  useEffect(() => {
    handlers.current = { onChange, onRun, value };
  });
  const hint = t('explore.placeholder');

  useEffect(() => {
    if (host.current === null) return undefined;
    const extensions = editorExtensions({
      label,
      hint,
      onChange: (text) => handlers.current.onChange(text),
      onRun: () => handlers.current.onRun(),
    });
    const editor = new EditorView({ parent: host.current, state: EditorState.create({ doc: handlers.current.value, extensions }) });
    if (primary) editor.contentDOM.setAttribute(SEARCH_FIELD, '');
    view.current = editor;
    return () => {
      editor.destroy();
      view.current = null;
    };
  }, [label, hint, primary]);

  useEffect(() => {
    const editor = view.current;
    if (editor === null || editor.state.doc.toString() === value) return;
    editor.dispatch({ changes: { from: 0, to: editor.state.doc.length, insert: value } });
  }, [value]);

  const line = errorAt?.line;
  const column = errorAt?.column;
  useEffect(() => {
    const editor = view.current;
    if (editor === null) return;
    const span = line === undefined || column === undefined ? null : errorSpan(editor.state.doc.toString(), { line, column });
    editor.dispatch({ effects: markError.of(span === null || span.from === span.to ? null : span) });
  }, [line, column]);

  return <div ref={host} className={classes['editor']} />;
}
