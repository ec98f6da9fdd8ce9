// What figures count: stored records, of which a payment that both sources list has two, or payments. Overviews count payments,
// because the question is how much money came in; lists show records, because a row is one.
import type { Schemas } from '../api/client';

export const COUNTINGS: readonly Schemas['Counting'][] = ['records', 'payments'];

export function readCounting(query: URLSearchParams, fallback: Schemas['Counting'] | undefined): Schemas['Counting'] {
  const named = query.get('count');
  return COUNTINGS.find((each) => each === named) ?? fallback ?? 'records';
}
