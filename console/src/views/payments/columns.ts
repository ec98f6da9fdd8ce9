// The columns of the payment list: which there are, which are shown at first, and how wide they are.
import type { Schemas } from '../../api/client';
import type { Messages } from '../../messages/index.svelte';

export type Payment = Schemas['Transaction'];
export type ColumnName = keyof Messages['payments']['column'];

export interface Column {
  readonly name: ColumnName;
  readonly end?: boolean;
  readonly sort?: 'created_at' | 'updated_at' | 'amount';
  /** Hidden on narrow screens: `p2` below 640 px, `p3` below 900 px. */
  readonly priority?: 'p2' | 'p3';
}

export const COLUMNS: readonly Column[] = [
  { name: 'created_at', sort: 'created_at' },
  { name: 'status' },
  { name: 'amount', end: true, sort: 'amount' },
  { name: 'amount_usd', end: true, priority: 'p3' },
  { name: 'paid_amount', end: true, priority: 'p3' },
  { name: 'fee', end: true, priority: 'p3' },
  { name: 'source', priority: 'p2' },
  { name: 'kind', priority: 'p3' },
  { name: 'project', priority: 'p2' },
  { name: 'merchant_id', priority: 'p3' },
  { name: 'payment_method', priority: 'p3' },
  { name: 'country', priority: 'p3' },
  { name: 'utr', priority: 'p3' },
  { name: 'source_id', priority: 'p3' },
  { name: 'reference_id', priority: 'p3' },
  { name: 'client_operation_id', priority: 'p3' },
  { name: 'order_id', priority: 'p3' },
  { name: 'original_status', priority: 'p3' },
  { name: 'user_email', priority: 'p3' },
  { name: 'user_phone', priority: 'p3' },
  { name: 'updated_at', sort: 'updated_at', priority: 'p3' },
  { name: 'completed_at', priority: 'p3' },
];

export const DEFAULT_COLUMNS: readonly ColumnName[] = ['created_at', 'status', 'amount', 'source', 'kind', 'project', 'merchant_id', 'payment_method', 'utr', 'source_id'];

export function shownColumns(chosen: readonly string[]): Column[] {
  const known = COLUMNS.filter(({ name }) => chosen.includes(name));
  return known.length > 0 ? known : COLUMNS.filter(({ name }) => DEFAULT_COLUMNS.includes(name));
}
