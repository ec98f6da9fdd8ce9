// The filters of the payment list are the query of its URL, by the API's own names: any link to rows that the API returns
// opens here unchanged, and a filter that this release does not know is passed on instead of being lost.
import { addDays } from '../../lib/time';
import { isPreset, presetPeriod } from '../../lib/period';
import { type QueryValue, readList } from '../../lib/query';

export const LIST_FILTERS = ['source', 'kind', 'status', 'project', 'currency', 'country', 'payment_method', 'merchant_id'] as const;
export type ListFilter = (typeof LIST_FILTERS)[number];

/** Parameters of the console itself, and of the API's paging; everything else is a filter. */
const OWN = new Set(['period', 'open', 'ids', 'explain', 'money', 'cursor', 'page', 'limit', 'from_date', 'to_date', 'timezone']);

/** Filters that have a control of their own in the filter bar. */
const WITH_CONTROL = new Set<string>([...LIST_FILTERS, 'search', 'min_amount', 'max_amount', 'sort_by', 'order', 'count']);

export const DEFAULT_PERIOD = '7d';

export interface ListQuery {
  [name: string]: QueryValue;
}

/** The query of `GET /transactions` for an address of the list. */
export function toListQuery(query: URLSearchParams, today: string, zone: string): ListQuery {
  const result: ListQuery = {};
  for (const name of new Set(query.keys())) {
    if (OWN.has(name)) continue;
    const all = query.getAll(name);
    result[name] = all.length > 1 ? all : isListFilter(name) ? readList(query, name) : all[0];
  }
  const days = periodOf(query, today);
  if (days) {
    result['from_date'] = days.from;
    result['to_date'] = days.to;
  }
  // The zone is that of days, and of recurring hours, which a link may have without days.
  if (days || query.has('weekday') || query.has('hour')) result['timezone'] = zone;
  return result;
}

export function isListFilter(name: string): name is ListFilter {
  return LIST_FILTERS.includes(name as ListFilter);
}

/** The days of the list; null for all time, which a list with other instants (`created_from`) means too. */
export function periodOf(query: URLSearchParams, today: string): { from: string; to: string } | null {
  const preset = query.get('period');
  if (isPreset(preset)) return presetPeriod(preset, today);
  const from = query.get('from_date');
  const to = query.get('to_date');
  if (from || to) return { from: from ?? addDays(to ?? today, -399), to: to ?? today };
  if (preset === 'all' || query.has('created_from')) return null;
  return presetPeriod(DEFAULT_PERIOD, today);
}

/** Filters without a control, to be shown as chips that can be removed. */
export function otherFilters(query: URLSearchParams): { name: string; value: string }[] {
  return [...new Set(query.keys())]
    .filter((name) => !OWN.has(name) && !WITH_CONTROL.has(name))
    .map((name) => ({ name, value: query.getAll(name).join(', ') }));
}

export function hasFilters(query: URLSearchParams): boolean {
  return [...query.keys()].some((name) => !OWN.has(name) && name !== 'sort_by' && name !== 'order' && name !== 'count');
}
