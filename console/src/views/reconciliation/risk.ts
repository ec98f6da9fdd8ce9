// What a day's differences are worth, by currency. `at_risk` of a status or a missing record is the whole amount; of an amount,
// the difference (docs/reconciliation.md).
import type { Schemas } from '../../api/client';
import { compareDecimals, isZero, sumDecimals } from '../../lib/decimal';

export interface Amount {
  readonly amount: string;
  readonly currency: string;
}

/** The payments of a day that are not matched, resolved by now or not. */
export function casesOf({ discrepancies, missing, duplicates }: Schemas['ReconciliationSummary']): number {
  return discrepancies.count + missing.count + duplicates.count;
}

export function riskOf(amounts: readonly Schemas['CurrencyAmounts'][]): Amount[] {
  return amounts
    .map(({ currency, at_risk: risk }) => ({ currency, amount: sumDecimals(Object.values(risk)) }))
    .filter(({ amount }) => !isZero(amount));
}

/** The amounts that are known, the largest first. */
export function amountsOf(parts: readonly { amount: string; currency: string | null }[]): Amount[] {
  const known = parts.flatMap(({ amount, currency }) => (currency === null ? [] : [{ amount, currency }]));
  return known.sort((left, right) => compareDecimals(right.amount, left.amount));
}

export function sumByCurrency(items: readonly { amount: string | null; currency: string | null }[]): Amount[] {
  const amounts = new Map<string, string[]>();
  for (const { amount, currency } of items) {
    if (amount !== null && currency !== null) amounts.set(currency, [...(amounts.get(currency) ?? []), amount]);
  }
  return [...amounts].map(([currency, all]) => ({ currency, amount: sumDecimals(all) }));
}
