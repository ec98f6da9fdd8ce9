import type { Schemas } from '../../api/client';
import { absolute } from '../../lib/decimal';

export type Verdict = 'amount' | 'status' | 'missing_vima' | 'missing_payshack' | 'duplicate';

/** What a case is about, in one word: for a difference, what differs first. */
export function verdictOf({ match_status, discrepancy_type }: Pick<Schemas['Discrepancy'], 'match_status' | 'discrepancy_type'>): Verdict {
  if (match_status !== 'discrepancy') return match_status;
  return discrepancy_type === 'status' ? 'status' : 'amount';
}

export interface CaseValue {
  readonly amount: string | null;
  readonly currency: string | null;
  readonly signed: boolean;
}

/** What a case puts at risk, as the totals of a day count it: the difference of the amounts, otherwise the whole amount. */
export function valueOf(item: Schemas['Discrepancy']): CaseValue {
  const currency = item.vima_currency ?? item.payshack_currency;
  if (verdictOf(item) === 'amount' && item.amount_diff !== null) return { amount: item.amount_diff, currency, signed: true };
  return { amount: item.vima_amount ?? item.payshack_amount, currency, signed: false };
}

/** The same without its sign, which can be added up. */
export function magnitudeOf(item: Schemas['Discrepancy']): Pick<CaseValue, 'currency'> & { readonly amount: string } {
  const { amount, currency } = valueOf(item);
  return { amount: absolute(amount ?? '0'), currency };
}

export type Action = 'acknowledge' | 'resolve' | 'ignore' | 'reopen';

/** The state that an action leads to. */
export const TARGET: Record<Action, Schemas['ManualDiscrepancyState']> = {
  acknowledge: 'acknowledged',
  resolve: 'resolved',
  ignore: 'ignored',
  reopen: 'open',
};

export const ACTIONS = ['acknowledge', 'resolve', 'ignore', 'reopen'] as const satisfies readonly Action[];

/** The legal actions of a state, the usual one first; the service refuses others with 409. */
export function actionsOf(state: Schemas['DiscrepancyState']): readonly Action[] {
  if (state === 'open') return ['acknowledge', 'resolve', 'ignore'];
  if (state === 'acknowledged') return ['resolve', 'ignore', 'reopen'];
  return ['reopen'];
}
