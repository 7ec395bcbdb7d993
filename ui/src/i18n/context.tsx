import { createContext, type ReactNode, useCallback, useContext, useEffect, useMemo, useState } from 'react';

import { LOCALES, type Locale, type MessageKey, type MessageValues, pickLocale, translate } from './messages';

const STORAGE_KEY = 'mirante.locale';

export type Translate = (key: MessageKey, values?: MessageValues) => string;

interface I18n {
  locale: Locale;
  setLocale: (locale: Locale) => void;
  t: Translate;
}

const I18nContext = createContext<I18n | null>(null);

function initialLocale(): Locale {
  const stored = localStorage.getItem(STORAGE_KEY);
  return LOCALES.find((locale) => locale === stored) ?? pickLocale(navigator.languages);
}

export function I18nProvider({ children }: { children: ReactNode }): ReactNode {
  const [locale, keep] = useState(initialLocale);
  const setLocale = useCallback((next: Locale) => {
    localStorage.setItem(STORAGE_KEY, next);
    keep(next);
  }, []);
  useEffect(() => {
    document.documentElement.lang = locale;
  }, [locale]);
  const value = useMemo<I18n>(() => ({ locale, setLocale, t: (key, values) => translate(locale, key, values) }), [locale, setLocale]);
  return <I18nContext value={value}>{children}</I18nContext>;
}

export function useI18n(): I18n {
  const value = useContext(I18nContext);
  if (value === null) throw new Error('useI18n outside of I18nProvider');
  return value;
}
