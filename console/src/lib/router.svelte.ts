// The URL is the state of a view: filters, period, the open row. A router library would bring routes as files or as
// components; the console has a dozen fixed paths, so this is the History API and two reactive values.
import { type QueryValue, toQueryString } from './query';

interface Location {
  readonly path: string;
  readonly query: URLSearchParams;
}

function read(): Location {
  return { path: window.location.pathname, query: new URLSearchParams(window.location.search) };
}

let current = $state.raw<Location>(read());

export const route = {
  get path(): string {
    return current.path;
  },
  get query(): URLSearchParams {
    return current.query;
  },
  /** The parts of the path: `/payments/17` is `['payments', '17']`. */
  get segments(): string[] {
    return current.path.split('/').filter(Boolean).map(decodeURIComponent);
  },
};

export function listenToHistory(): void {
  window.addEventListener('popstate', () => {
    current = read();
  });
}

export function navigate(href: string, options: { replace?: boolean } = {}): void {
  if (href === window.location.pathname + window.location.search) return;
  if (options.replace) window.history.replaceState(null, '', href);
  else window.history.pushState(null, '', href);
  const moved = current.path !== window.location.pathname;
  current = read();
  if (moved) window.scrollTo(0, 0);
}

/** The current address with other query parameters; null removes one. */
export function withQuery(changes: Readonly<Record<string, QueryValue>>, path = current.path): string {
  const values: Record<string, QueryValue> = {};
  for (const name of new Set(current.query.keys())) {
    const all = current.query.getAll(name);
    values[name] = all.length > 1 ? all : all[0];
  }
  const text = toQueryString({ ...values, ...changes });
  return text ? `${path}?${text}` : path;
}

export function setQuery(changes: Readonly<Record<string, QueryValue>>, options: { replace?: boolean } = { replace: true }): void {
  navigate(withQuery(changes), options);
}

export { href } from './query';

const OWN = /^\/(api|health|ws|metrics)(\/|$)/;

/** Follows links of the console without loading the page; modified clicks and links to the API stay the browser's. */
export function followLinks(event: MouseEvent): void {
  if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  const anchor = event.target instanceof Element ? event.target.closest('a') : null;
  if (!anchor || anchor.target || anchor.hasAttribute('download') || anchor.origin !== window.location.origin) return;
  if (OWN.test(anchor.pathname)) return;
  event.preventDefault();
  navigate(anchor.pathname + anchor.search);
}
