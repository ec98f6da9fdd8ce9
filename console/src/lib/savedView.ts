// A saved view is the query of a page under a name. The service stores it as it is, so a view of another release, or of another
// client, may contain any values of JSON.
import type { QueryValue } from './query';

export type Filters = Record<string, string | string[]>;

/** The filters of an address: everything but the open row. */
export function filtersOf(query: URLSearchParams): Filters {
  const names = [...new Set(query.keys())].filter((name) => name !== 'open');
  return Object.fromEntries(
    names.map((name): [string, string | string[]] => {
      const all = query.getAll(name);
      return [name, all.length > 1 ? all : (all[0] ?? '')];
    }),
  );
}

/** The query of an address that opens a view. */
export function queryOf(filters: Readonly<Record<string, unknown>>): Record<string, QueryValue> {
  const readable = Object.entries(filters).flatMap(([name, value]): [string, QueryValue][] => {
    if (Array.isArray(value)) return [[name, value.map(String)]];
    return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean' ? [[name, value]] : [];
  });
  return Object.fromEntries(readable);
}
