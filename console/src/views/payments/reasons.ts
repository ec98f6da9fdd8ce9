// Why a payment is counted as it is, or is not there, as sentences. The API has codes, records of both sides and similar payments;
// what it has no field for (a tolerance, how far a source was read) is only in its own sentences.
import type { Schemas } from '../../api/client';
import { formatMoney } from '../../lib/money';
import { dayIn, formatDay } from '../../lib/time';
import type { Messages } from '../../messages/index.svelte';
import type { Payment } from './columns';

type Reason = Schemas['ExplanationReason'];
export type Explanation = Pick<Schemas['TransactionExplanation'], 'counterpart' | 'counting' | 'similar'>;
export type Reference = Pick<Schemas['PaymentReferenceExplanation'], 'code' | 'explanation' | 'sources'>;

const SAYS_MORE: ReadonlySet<Schemas['ReasonCode']> = new Set([
  'amount_differs', 'status_may_be_late', 'duplicate', 'quarantined', 'outside_window', 'other_project', 'not_synced_that_far', 'not_synced_that_far_back', 'missing_vima', 'missing_payshack',
]);

/** As the reconciliation compares it: what was paid, where PayShack says so of a successful payment. */
function comparedAmount({ source, status, amount, paid_amount }: Payment): string {
  return source === 'payshack' && status === 'success' ? (paid_amount ?? amount) : amount;
}

export function keyOf({ client_operation_id, order_id, source_id }: Payment): string {
  return client_operation_id ?? order_id ?? source_id;
}

/** A code of another release, or one without its facts, is said in the words of the API. */
export function reasonSentence({ code, explanation: original, transaction_id }: Reason, payment: Payment, { counterpart, counting, similar }: Explanation, words: Messages, locale: string): string {
  const say = words.explanations.reason;
  const own = words.common.source[payment.source];
  const other = words.common.source[payment.source === 'vima' ? 'payshack' : 'vima'];
  const both = (sentence: (vima: string, payshack: string) => string, fact: (side: Payment) => string) => {
    if (!counterpart) return original;
    const [vima, payshack] = payment.source === 'vima' ? [payment, counterpart] : [counterpart, payment];
    return sentence(fact(vima), fact(payshack));
  };
  switch (code) {
    case 'amount_differs':
      return both(say[code], (side) => formatMoney(comparedAmount(side), side.currency, locale));
    case 'currency_differs':
      return both(say[code], ({ currency }) => currency);
    case 'status_differs':
    case 'status_may_be_late':
      return both(say[code], ({ status }) => words.common.status[status]);
    case 'other_day':
      return both(say[code], ({ created_at }) => formatDay(dayIn(counting.reconciliation_timezone, new Date(created_at)), locale));
    case 'duplicate':
      return say[code](own);
    case 'project_not_reconciled':
      return counting.project === null ? say.no_project : say[code](counting.project);
    case 'no_key':
      return say[code](own, payment.source === 'vima' ? 'client_operation_id' : 'order_id');
    case 'key_differs': {
      const nearly = similar.find(({ transaction }) => transaction.id === transaction_id);
      return nearly ? say[code](other, keyOf(nearly.transaction), words.payments.explanation.difference[nearly.difference]) : original;
    }
    case 'quarantined':
    case 'outside_window':
    case 'other_project':
    case 'not_synced_that_far':
    case 'not_synced_that_far_back':
      return say[code](other);
    case 'matched':
    case 'payout':
    case 'missing_vima':
    case 'missing_payshack':
      return say[code];
    default:
      return original;
  }
}

export function originalReasons(reasons: readonly Reason[]): string[] {
  return reasons.filter(({ code }) => SAYS_MORE.has(code)).map(({ explanation, action }) => `${explanation} ${action}`);
}

export function referenceSentence({ code, explanation: original, sources }: Reference, words: Messages, locale: string): string {
  const say = words.explanations.reference;
  if (code !== 'not_synced') return say[code] ?? original;
  const unread = sources.find(({ read_until, remaining }) => read_until === null || remaining !== null);
  if (!unread) return original;
  const source = words.common.source[unread.source];
  if (!unread.remaining) return say.not_synced(source);
  const { from_date, to_date } = unread.remaining;
  return say.not_synced_days(source, formatDay(from_date, locale), formatDay(to_date, locale));
}
