// The query of the overview, from its URL: a period and filters, the same for every figure on the page.
import { createQuery } from '@tanstack/svelte-query';
import { api, read, type Schemas } from '../../api/client';
import type { paths } from '../../api/generated/schema';
import { view } from '../../lib/context.svelte';
import { readCounting } from '../../lib/counting';
import { lengthOf, type Period, type Preset, readPeriod } from '../../lib/period';
import { filterOf, readList } from '../../lib/query';
import { route } from '../../lib/router.svelte';

export const OVERVIEW_FILTERS = ['source', 'kind', 'project', 'currency'] as const;

type Filters = Record<(typeof OVERVIEW_FILTERS)[number], string[]>;
type Parameters = NonNullable<paths['/api/v1/metrics/overview']['get']['parameters']['query']>;

export interface MetricsQuery {
  readonly period: Period;
  readonly filters: Filters;
  readonly count: Schemas['Counting'];
}

export function metricsQuery(fallback: Preset): MetricsQuery {
  const { query } = route;
  const filters = Object.fromEntries(OVERVIEW_FILTERS.map((name) => [name, readList(query, name)])) as Filters;
  return { period: readPeriod(query, view.today, fallback), filters, count: readCounting(query, 'payments') };
}

/** What the API is asked with. Filters are as the address has them: a value that the API does not know is its error to tell. */
export function parameters({ period, filters, count }: MetricsQuery): Parameters {
  return filterOf({ from_date: period.from, to_date: period.to, timezone: view.zone, ...filters, count }) as Parameters;
}

export type Granularity = Schemas['Granularity'];

/** A step with which a chart has some dozens of points. */
export function usualGranularity(period: Period): Granularity {
  const days = lengthOf(period);
  if (days <= 7) return 'hour';
  return days <= 92 ? 'day' : 'week';
}

/** A week or month so far is compared with the same part of the one before, days with as many days before. */
function comparisonType({ preset }: Period): Schemas['ComparisonType'] {
  return preset === 'week' || preset === 'month' ? preset : 'custom';
}

export function comparison(query: () => MetricsQuery) {
  return createQuery(() => {
    const asked = { ...parameters(query()), comparison_type: comparisonType(query().period) };
    return {
      queryKey: ['metrics', 'comparison', asked],
      queryFn: () => read(api.GET('/api/v1/metrics/comparison', { params: { query: asked } })),
      placeholderData: (before: Schemas['MetricsComparison'] | undefined) => before,
    };
  });
}

export function trends(query: () => MetricsQuery, granularity: () => Granularity) {
  return createQuery(() => ({
    queryKey: ['metrics', 'trends', parameters(query()), granularity()],
    queryFn: () => read(api.GET('/api/v1/metrics/trends', { params: { query: { ...parameters(query()), granularity: granularity() } } })),
    placeholderData: (before: Schemas['MetricsTrends'] | undefined) => before,
  }));
}
