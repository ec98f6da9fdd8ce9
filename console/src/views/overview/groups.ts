// The rows of the breakdowns: for each group its label, its amounts, and the link to its payments.
import type { Schemas } from '../../api/client';
import { toGeometry } from '../../lib/decimal';
import { type Shown, shownAmount } from '../../lib/measures';
import type { MoneyMode } from '../../lib/preferences.svelte';
import { fromRowsUrl } from '../../lib/rows';
import type { Messages } from '../../messages/index.svelte';
import type { Bar } from '../../ui/charts/Bars.svelte';

export interface Group extends Bar {
  readonly shown: Shown;
  readonly count: number;
  readonly conversion: number | null;
}

interface Measures {
  readonly currency: string | null;
  readonly total_count: number;
  readonly total_amount: string | null;
  readonly total_amount_usd: string;
  readonly conversion_rate: number | null;
  readonly rows_url: string | null;
}

export function breakdowns(messages: Messages, mode: MoneyMode) {
  function group(row: Measures, key: string | null, label: string): Group {
    return {
      key: key ?? '',
      label,
      // Bars of one chart are compared with each other, so their lengths are in one currency.
      length: toGeometry(row.total_amount_usd),
      shown: shownAmount(row.total_amount, row.total_amount_usd, row.currency, mode),
      count: row.total_count,
      conversion: row.conversion_rate,
      href: fromRowsUrl(row.rows_url),
    };
  }

  return {
    projects: (rows: readonly Schemas['ProjectMetrics'][]) =>
      rows.map((row) => group(row, row.project, row.project ?? messages.common.noProject)),
    methods: (rows: readonly Schemas['PaymentMethodMetrics'][]) =>
      rows.map((row) => group(row, row.payment_method, row.payment_method ?? messages.overview.noValue)),
    countries: (rows: readonly Schemas['CountryMetrics'][]) =>
      rows.map((row) => group(row, row.country, row.country_name ?? row.country ?? messages.overview.noValue)),
    statuses: (rows: readonly Schemas['StatusMetrics'][]): Group[] =>
      rows
        .filter(({ total_count }) => total_count > 0)
        .map((row) => ({
          ...group(row, row.status, messages.common.status[row.status]),
          length: row.total_count,
          conversion: row.percentage_of_total,
          color: row.status === 'processing' ? 'pending' : row.status,
        })),
    sources: (data: Schemas['MetricsOverview']): Group[] =>
      (['vima', 'payshack'] as const).map((source) => {
        const share = data.by_source[source];
        return {
          key: source,
          label: messages.common.source[source],
          length: toGeometry(share.amount_usd),
          shown: shownAmount(share.amount, share.amount_usd, data.currency, mode),
          count: share.count,
          conversion: data.total_count > 0 ? (share.count / data.total_count) * 100 : null,
          href: fromRowsUrl(share.rows_url),
        };
      }),
  };
}
