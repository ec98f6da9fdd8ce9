// Which of its two amounts a measure shows. Amounts of several currencies are never added up: then the API has no amount in an
// original currency, and the sum in US dollars is shown and says so.
import type { Schemas } from '../api/client';
import { decimalText, parseDecimal, round, toGeometry } from './decimal';
import type { MoneyMode } from './preferences.svelte';

export interface Shown {
  readonly amount: string | null;
  readonly currency: string | null;
}

export function shownAmount(original: string | null | undefined, usd: string | null | undefined, currency: string | null | undefined, mode: MoneyMode): Shown {
  if (mode === 'original' && original !== null && original !== undefined && currency) return { amount: original, currency };
  return { amount: toCents(usd), currency: 'USD' };
}

/** The amount of the successful payments of a compared period. */
export function successOf(side: Schemas['ComparedPeriod'], mode: MoneyMode): Shown {
  return shownAmount(side.success_amount, side.success_amount_usd, side.currency, mode);
}

/** In percent; null if there is nothing to compare with, or if it is in another currency. */
export function changePercent(now: Shown, before: Shown): number | null {
  if (now.amount === null || before.amount === null || now.currency !== before.currency) return null;
  const base = toGeometry(before.amount);
  return base === 0 ? null : (toGeometry(now.amount) / base - 1) * 100;
}

/** An amount that was converted has as many decimals as its exchange rate; for display it ends with cents. */
export function toCents(amount: string | null | undefined): string | null {
  return amount === null || amount === undefined ? null : decimalText(round(parseDecimal(amount), 2));
}
