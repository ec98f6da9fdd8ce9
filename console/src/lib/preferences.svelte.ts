// What a person chose once and expects to find again. It is kept in the browser, not at the service: it belongs to a screen,
// and a key is often shared by several.
import { isZone } from './time';

export const THEMES = ['auto', 'light', 'dark'] as const;
export type Theme = (typeof THEMES)[number];
export const LANGUAGES = ['en', 'ru'] as const;
export type Language = (typeof LANGUAGES)[number];
export const MONEY_MODES = ['original', 'usd'] as const;
export type MoneyMode = (typeof MONEY_MODES)[number];

interface Preferences {
  theme: Theme;
  language: Language;
  /** Empty: the zone of the service. */
  zone: string;
  money: MoneyMode;
  /** Columns of the payment list; empty: the default ones. */
  columns: string[];
}

const STORED = 'psp-console';

function oneOf<T extends string>(values: readonly T[], text: unknown, fallback: T): T {
  return values.includes(text as T) ? (text as T) : fallback;
}

function load(): Preferences {
  let stored: Partial<Record<keyof Preferences, unknown>> = {};
  try {
    stored = JSON.parse(localStorage.getItem(STORED) ?? '{}');
  } catch {
    // Written by something else, or storage is blocked: start with the defaults.
  }
  const browser = navigator.language.startsWith('ru') ? 'ru' : 'en';
  const zone = typeof stored.zone === 'string' && isZone(stored.zone) ? stored.zone : '';
  const columns = Array.isArray(stored.columns) ? stored.columns.filter((each) => typeof each === 'string') : [];
  return {
    theme: oneOf(THEMES, stored.theme, 'auto'),
    language: oneOf(LANGUAGES, stored.language, browser),
    zone,
    money: oneOf(MONEY_MODES, stored.money, 'original'),
    columns,
  };
}

export const preferences = $state<Preferences>(load());

export function remember(changes: Partial<Preferences>): void {
  Object.assign(preferences, changes);
  try {
    localStorage.setItem(STORED, JSON.stringify(preferences));
  } catch {
    // Storage is full or blocked: the choice lasts until the page is closed.
  }
}

export function applyTheme(): void {
  const root = document.documentElement;
  if (preferences.theme === 'auto') delete root.dataset['theme'];
  else root.dataset['theme'] = preferences.theme;
}
