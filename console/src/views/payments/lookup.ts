// Looking up pasted ids. The service does it in one request if it has the operation; otherwise each id is a search, a few at a
// time, of which only payments count that have exactly this id.
import { api, read } from '../../api/client';
import { features } from '../../api/generated/features';
import { lookupIds } from '../../api/upcoming';
import type { Payment } from './columns';

/** What one request, or a page of searches, takes. */
export const LOOKUP_LIMIT = 500;
const SEARCHES_AT_ONCE = 6;
/** The API searches for at least this many characters; no id of a provider is shorter. */
const SEARCH_LENGTH = 3;

export interface Found {
  readonly input: string;
  readonly payments: readonly Payment[];
}

const ID_FIELDS = ['id', 'source_id', 'reference_id', 'client_operation_id', 'order_id', 'utr'] as const satisfies readonly (keyof Payment)[];

export function hasId(payment: Pick<Payment, (typeof ID_FIELDS)[number]>, id: string): boolean {
  const wanted = id.toLowerCase();
  return ID_FIELDS.some((field) => payment[field]?.toLowerCase() === wanted);
}

async function search(id: string): Promise<Found> {
  if (id.length < SEARCH_LENGTH) return { input: id, payments: [] };
  const page = await read(api.GET('/api/v1/transactions', { params: { query: { search: id, limit: 20 } } }));
  return { input: id, payments: page.items.filter((payment) => hasId(payment, id)) };
}

/** Finds every id, in the order of the input; `progress` is called with what has been found so far. */
export async function lookUp(ids: readonly string[], progress: (found: readonly Found[]) => void): Promise<void> {
  if (features.lookup) {
    const { items } = await lookupIds(ids);
    progress(items.map(({ input, matches }) => ({ input, payments: matches })));
    return;
  }
  const found: Found[] = [];
  for (let start = 0; start < ids.length; start += SEARCHES_AT_ONCE) {
    found.push(...(await Promise.all(ids.slice(start, start + SEARCHES_AT_ONCE).map(search))));
    progress([...found]);
  }
}
