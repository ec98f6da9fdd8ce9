// Figures are links to their rows. Which rows were counted only the service knows, so a figure leads where its `rows_url` says; one
// without it (nothing was counted, or the rows are deleted) is plain text.

const LISTS: readonly (readonly [RegExp, string])[] = [
  [/^\/api\/v1\/transactions$/, '/payments'],
  [/^\/api\/v1\/reconciliation\/discrepancies$/, '/reconciliation/cases'],
  [/^\/api\/v1\/reconciliation\/runs\/([^/]+)\/results$/, '/reconciliation/runs/$1'],
];

/** The console's address for a `rows_url` of the API; null if the console has no list for it. */
export function fromRowsUrl(url: string | null | undefined): string | null {
  const [path = '', query] = (url ?? '').split('?', 2);
  const list = LISTS.find(([pattern]) => pattern.test(path));
  return list ? path.replace(...list) + (query ? `?${query}` : '') : null;
}

/** For a figure that is counted in parts: its rows are one list only if all of them are in one part. */
export function fromPartUrls(urls: readonly (string | null | undefined)[]): string | null {
  const counted = urls.filter(Boolean);
  return counted.length === 1 ? fromRowsUrl(counted[0]) : null;
}
