// What the top bar and the command palette both switch: each goes on to the next of its values.
import { live } from '../api/live.svelte';
import { applyTheme, LANGUAGES, preferences, remember, THEMES } from '../lib/preferences.svelte';
import { loadMessages } from '../messages/index.svelte';

export async function switchLanguage(): Promise<void> {
  const next = LANGUAGES[(LANGUAGES.indexOf(preferences.language) + 1) % LANGUAGES.length] ?? 'en';
  await loadMessages(next);
  remember({ language: next });
}

export function switchTheme(): void {
  const next = THEMES[(THEMES.indexOf(preferences.theme) + 1) % THEMES.length] ?? 'auto';
  remember({ theme: next });
  applyTheme();
}

export function switchLive(): void {
  if (live.paused) live.resume();
  else live.pause();
}
