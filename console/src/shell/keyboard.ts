// The keyboard of every view. Views mark what keys act on: rows are `[data-row]` (their first link or button is opened), the
// filters begin at `[data-filters]`, the panel that Esc closes has `[data-close]`.
import { navigate } from '../lib/router.svelte';
import { VIEWS } from './views';

const GO_MS = 1200;
let goUntil = 0;

function isTyping(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName));
}

function clickOn(selector: string, within: ParentNode = document): boolean {
  const element = within.querySelector<HTMLElement>(selector);
  element?.click();
  return element !== null;
}

function focusOn(selector: string): boolean {
  const element = document.querySelector<HTMLElement>(selector);
  element?.focus();
  return element !== null;
}

function moveRow(step: 1 | -1): boolean {
  const rows = [...document.querySelectorAll<HTMLElement>('main [data-row]')];
  if (rows.length === 0) return false;
  const focused = document.activeElement?.closest<HTMLElement>('[data-row]');
  const from = rows.findIndex((row) => row === focused || (!focused && row.classList.contains('active')));
  const next = rows[from < 0 ? 0 : Math.min(Math.max(from + step, 0), rows.length - 1)];
  next?.focus();
  next?.scrollIntoView({ block: 'nearest' });
  // With a row open beside the list, moving goes on through the rows; at the end it stays where it is.
  if (next && !next.classList.contains('active') && document.querySelector('[data-panel]')) next.click();
  return true;
}

function onRow(selector: string): boolean {
  const row = document.activeElement?.closest<HTMLElement>('[data-row]');
  return row ? clickOn(selector, row) : false;
}

const ACTIONS: Readonly<Record<string, () => boolean>> = {
  '/': () => focusOn('[data-search]'),
  j: () => moveRow(1),
  ArrowDown: () => moveRow(1),
  k: () => moveRow(-1),
  ArrowUp: () => moveRow(-1),
  x: () => onRow('input[type=checkbox]'),
  '.': () => onRow('[data-actions]') || clickOn('[data-panel] [data-actions]'),
  f: () => focusOn('[data-filters] button, [data-filters] input'),
  e: () => clickOn('[data-export]'),
};

export function handleKey(event: KeyboardEvent, help: () => void): void {
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
  if (document.querySelector('dialog[open], [popover]:popover-open')) return; // they have the keyboard
  if (event.key === 'Escape') {
    clickOn('[data-close]');
    return;
  }
  if (isTyping(event.target)) return;
  if (event.key === 'Enter') {
    const row = event.target instanceof HTMLElement && event.target.matches('[data-row]') ? event.target : null;
    row?.click();
    return;
  }
  if (goUntil > event.timeStamp) {
    goUntil = 0;
    const view = VIEWS.find(({ key }) => key === event.key);
    if (view) {
      navigate(view.path);
      event.preventDefault();
    }
    return;
  }
  if (event.key === 'g') {
    goUntil = event.timeStamp + GO_MS;
    return;
  }
  if (event.key === '?') {
    help();
    event.preventDefault();
    return;
  }
  if (ACTIONS[event.key]?.()) event.preventDefault();
}
