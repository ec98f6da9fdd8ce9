// Query strings as the API reads them: a list is one parameter with commas; a parameter that is repeated is not split, so a
// value that contains a comma is sent that way (twice, if it is the only one). The console's own URLs use the same form.

export type QueryValue = string | number | boolean | readonly string[] | null | undefined;

export function toQueryString(values: Readonly<Record<string, QueryValue>>): string {
  const pairs = new URLSearchParams();
  for (const [name, value] of Object.entries(values)) {
    if (value === null || value === undefined || value === '') continue;
    if (typeof value !== 'object') pairs.append(name, String(value));
    else appendList(pairs, name, value);
  }
  return pairs.toString().replaceAll('%2C', ',').replaceAll('%2F', '/').replaceAll('%3A', ':');
}

function appendList(pairs: URLSearchParams, name: string, values: readonly string[]): void {
  if (values.length === 0) return;
  if (!values.some((value) => value.includes(','))) {
    pairs.append(name, values.join(','));
    return;
  }
  for (const value of values) pairs.append(name, value);
  if (values.length === 1) pairs.append(name, values[0] ?? '');
}

/** A filter as a body of the API takes it: without what is not set. */
export function filterOf(query: Readonly<Record<string, QueryValue>>): Record<string, QueryValue> {
  return Object.fromEntries(Object.entries(query).filter(([, value]) => value !== null && value !== undefined && value !== '' && !(Array.isArray(value) && value.length === 0)));
}

export function readList(query: URLSearchParams, name: string): string[] {
  const values = query.getAll(name);
  const found = values.length === 1 ? (values[0] ?? '').split(',') : values;
  return [...new Set(found.filter((value) => value !== ''))];
}

/** An address of the console. */
export function href(path: string, query: Readonly<Record<string, QueryValue>> = {}): string {
  const text = toQueryString(query);
  return text ? `${path}?${text}` : path;
}
