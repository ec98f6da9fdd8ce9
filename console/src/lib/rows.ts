// Figures are links to their rows. Where the API says which rows a figure counts (`rows_url`), that is the link; otherwise the
// filters that the view asked with.
import { href, type QueryValue } from './query';

const LISTS: readonly (readonly [string, string])[] = [
  ['/api/v1/transactions', '/payments'],
  ['/api/v1/reconciliation/discrepancies', '/reconciliation/cases'],
];

/** The console's address for a `rows_url` of the API; null if the console has no list for it. */
export function fromRowsUrl(url: unknown): string | null {
  if (typeof url !== 'string') return null;
  const [path, query] = url.split('?', 2);
  const list = LISTS.find(([each]) => each === path);
  return list ? `${list[1]}${query ? `?${query}` : ''}` : null;
}

export function rowsLink(answer: object | undefined, fallback: Readonly<Record<string, QueryValue>>): string {
  return fromRowsUrl((answer as { rows_url?: unknown } | undefined)?.rows_url) ?? href('/payments', fallback);
}
