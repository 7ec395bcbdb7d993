import { useEffect, useRef } from 'react';

function isTyping(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && (target.isContentEditable || /^(input|textarea|select)$/i.test(target.tagName));
}

/** Single-key shortcuts, silent while somebody types. */
export function useShortcuts(actions: Readonly<Record<string, () => void>>): void {
  const latest = useRef(actions);
  useEffect(() => {
    latest.current = actions;
  });
  useEffect(() => {
    const listen = (event: KeyboardEvent): void => {
      if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented || isTyping(event.target)) return;
      const action = latest.current[event.key];
      if (action === undefined) return;
      event.preventDefault();
      action();
    };
    document.addEventListener('keydown', listen);
    return () => document.removeEventListener('keydown', listen);
  }, []);
}

/** Marks the field that `/` goes to. */
export const SEARCH_FIELD = 'data-search-field';

/** Puts the cursor into the view's search field; false where the view has none. */
export function focusSearch(): boolean {
  const field = document.querySelector<HTMLElement>(`[${SEARCH_FIELD}]`);
  field?.focus();
  return field !== null;
}
