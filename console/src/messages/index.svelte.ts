// The messages of the chosen language. Each language is a chunk of its own, loaded before the first view is shown; that every
// language has every message is checked by their types, and by a test for what types cannot see.
import { type Language, preferences } from '../lib/preferences.svelte';
import type { messages as english } from './en';

export type Messages = typeof english;

const LOADERS: Record<Language, () => Promise<{ messages: Messages }>> = {
  en: () => import('./en'),
  ru: () => import('./ru'),
};

let loaded = $state.raw<Messages | null>(null);

export async function loadMessages(language: Language = preferences.language): Promise<void> {
  const { messages } = await LOADERS[language]();
  loaded = messages;
  document.documentElement.lang = language;
}

export function m(): Messages {
  if (!loaded) throw new Error('messages are read before they are loaded');
  return loaded;
}
