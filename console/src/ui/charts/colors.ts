// A canvas keeps the colours that it was drawn with, so charts are drawn again when the tokens change without the page: in another
// theme of the system, and on paper, which is white in every theme.
import { applyTheme } from '../../lib/preferences.svelte';

const charts = new Set<() => void>();

/** Calls `redraw`, which has to draw at once, whenever colours have changed; returns how to end that. */
export function whenColorsChange(redraw: () => void): () => void {
  charts.add(redraw);
  return () => charts.delete(redraw);
}

function redrawAll(): void {
  for (const redraw of charts) redraw();
}

function setPaper(paper: boolean): void {
  // Styles for print do not apply yet when the browser announces it: the light theme does.
  if (paper) document.documentElement.dataset['theme'] = 'light';
  else applyTheme();
  redrawAll();
}

export function followColors(): void {
  window.addEventListener('beforeprint', () => setPaper(true));
  window.addEventListener('afterprint', () => setPaper(false));
  window.matchMedia('print').addEventListener('change', ({ matches }) => setPaper(matches));
  window.matchMedia('(prefers-color-scheme: dark)').addEventListener('change', redrawAll);
}
