// Operations that are being added to the API, as far as the console reads them. Each is used only where `features` says that the
// service has it. Once the committed document has an operation, `api` replaces it here, and the generated types these.
import type { QueryValue } from '../lib/query';
import { request, type Schemas } from './client';

type Transaction = Schemas['Transaction'];

// ---- explanations

export interface ExplainedReason {
  readonly code: string;
  readonly explanation: string;
  readonly action: string;
  readonly transaction_id: string | null;
  readonly quarantine_id: string | null;
}

export interface SimilarPayment {
  readonly difference: string;
  readonly transaction: Transaction;
}

export interface PaymentVersion {
  readonly stored_at: string;
  readonly changed_at: string | null;
  readonly changed: readonly string[];
  readonly run: { readonly id: string; readonly mode: string | null; readonly started_at: string | null } | null;
  readonly old_status: Schemas['Status'] | null;
  readonly new_status: Schemas['Status'] | null;
}

export interface TransactionExplanation {
  readonly reasons: readonly ExplainedReason[];
  readonly counting: {
    readonly project: string | null;
    readonly currency: string;
    readonly report_day: string;
    readonly report_timezone: string;
    readonly reconciliation_day: string | null;
    readonly reconciliation_timezone: string;
    readonly days_differ: boolean;
  };
  readonly similar: readonly SimilarPayment[];
  readonly versions: readonly PaymentVersion[];
}

export interface ReferenceExplanation {
  readonly code: string;
  readonly explanation: string;
  readonly action: string;
  readonly payments: readonly { readonly transaction: Transaction }[];
  readonly quarantined: readonly { readonly id: string; readonly source: Schemas['Source']; readonly reason: string; readonly action: string; readonly last_seen_at: string }[];
  readonly sources: readonly { readonly source: Schemas['Source']; readonly has_payment: boolean; readonly read_until: string | null }[];
  readonly similar: readonly SimilarPayment[];
}

export const explainTransaction = (id: string) => request<TransactionExplanation>('GET', `/api/v1/transactions/${encodeURIComponent(id)}/explain`);

export const explainReference = (reference: string) => request<ReferenceExplanation>('GET', '/api/v1/explain/payment', { query: { reference } });

// ---- looking up ids

export interface LookupItem {
  readonly input: string;
  readonly matches: readonly Transaction[];
}

export const lookupIds = (ids: readonly string[]) => request<{ items: readonly LookupItem[] }>('POST', '/api/v1/transactions/lookup', { body: { ids } });

// ---- saved views

export interface SavedView {
  readonly id: string;
  readonly name: string;
  readonly page: string;
  readonly filters: Readonly<Record<string, QueryValue>>;
  readonly shared: boolean;
  readonly owner: string;
  readonly is_own: boolean;
}

export const listViews = (page: string) => request<{ items: readonly SavedView[] }>('GET', '/api/v1/views', { query: { of_page: page, limit: 100 } });

export const createView = (view: Pick<SavedView, 'name' | 'page' | 'filters' | 'shared'>) => request<SavedView>('POST', '/api/v1/views', { body: view });

export const deleteView = (id: string) => request<SavedView>('DELETE', `/api/v1/views/${id}`);

// ---- metrics

export interface CurrencySum {
  readonly currency: string;
  readonly amount: string | null;
}

/** The sums by currency of a metric answer. */
export function sumsByCurrency(answer: object | undefined): readonly CurrencySum[] {
  const sums = (answer as { by_currency?: unknown } | undefined)?.by_currency;
  return Array.isArray(sums) ? sums : [];
}

/** How many payments Vima does not have, in an answer that counts payments. */
export function notInVima(answer: object | undefined): number {
  const missing = (answer as { not_in_vima?: { count?: unknown } | null } | undefined)?.not_in_vima;
  return typeof missing?.count === 'number' ? missing.count : 0;
}

export const FAILURE_GROUPS = ['project', 'payment_method', 'amount_band', 'hour'] as const;
export type FailureGroup = (typeof FAILURE_GROUPS)[number];

export interface Failure {
  readonly group: string | null;
  readonly source: Schemas['Source'];
  readonly original_status: string | null;
  readonly count: number;
  readonly percentage_of_total: number | null;
  readonly count_change_percent: number | null;
  readonly usual_count: number;
  readonly usual_change_percent: number | null;
  readonly amount: string | null;
  readonly amount_usd: string;
  readonly currency: string | null;
}

export interface Failures {
  readonly failed_count: number;
  readonly failure_rate: number | null;
  readonly usual_failed_count: number;
  readonly failures: readonly Failure[];
}

export const failures = (query: Record<string, QueryValue>) => request<Failures>('GET', '/api/v1/metrics/failures', { query });

// ---- merchants

interface MerchantMeasures {
  readonly currency: string | null;
  readonly total_count: number;
  readonly total_amount: string | null;
  readonly total_amount_usd: string;
  readonly success_count: number;
  readonly failed_count: number;
  readonly pending_count: number;
  readonly conversion_rate: number | null;
}

export interface Merchant extends MerchantMeasures {
  readonly trend: readonly Schemas['Bucket'][];
  readonly payment_methods: readonly Schemas['PaymentMethodMetrics'][];
  readonly last_transaction: Pick<Transaction, 'id' | 'source' | 'amount' | 'currency' | 'status' | 'created_at'>;
  readonly open_discrepancies: { readonly count: number; readonly oldest_date: string | null };
  readonly comparison: {
    readonly usual: { readonly total_count: number | null; readonly conversion_rate: number | null };
    readonly count_change_percent: number | null;
    readonly amount_change_percent: number | null;
    readonly conversion_rate_change: number | null;
  };
}

export const merchant = (project: string, id: string, query: Record<string, QueryValue>) =>
  request<Merchant>('GET', `/api/v1/merchants/${encodeURIComponent(project)}/${encodeURIComponent(id)}`, { query });

// ---- jobs

export interface WaitingReason {
  readonly code: string;
  readonly message: string;
  readonly job_id: string | null;
}

/** What a job or a sync waits for, in the answer of a service that says it. */
export function waitingReasons(answer: object, field: 'waiting_for' | 'blocked_by'): readonly WaitingReason[] {
  const reasons = (answer as Record<string, unknown>)[field];
  return Array.isArray(reasons) ? reasons : [];
}

export interface QueueBucket {
  readonly timestamp: string;
  readonly depth: Schemas['QueueDepth'] | null;
  readonly finished: number | null;
  readonly failed: number | null;
}

export interface QueueHistory {
  readonly queues: readonly { readonly name: string; readonly data: readonly QueueBucket[] }[];
}

export const queueHistory = (query: Record<string, QueryValue>) => request<QueueHistory>('GET', '/api/v1/queues/history', { query });

export interface WorkerProcess {
  readonly name: string;
  readonly host: string | null;
  readonly version: string | null;
  readonly queues: readonly string[];
  readonly started_at: string;
  readonly last_heartbeat_at: string;
  readonly alive: boolean;
  readonly running: readonly { readonly job_id: string; readonly kind: string }[];
}

export const workers = () => request<{ items: readonly WorkerProcess[] }>('GET', '/api/v1/workers', { query: { limit: 100 } });

// ---- acts on all that matches

export interface BulkPreview {
  readonly bulk_action_id: string;
  readonly token: string;
  readonly count: number;
  readonly amounts?: readonly { readonly currency: string | null; readonly count: number; readonly amount_at_risk: string | null }[];
}

export interface BulkAction {
  readonly id: string;
  readonly state: 'preview' | 'expired' | 'running' | 'finished' | 'cancelled' | 'failed';
  readonly count: number;
  readonly applied: number;
  readonly skipped: number;
  readonly remaining: number;
  readonly error: string | null;
}

export const previewCases = (body: object) => request<BulkPreview>('POST', '/api/v1/reconciliation/discrepancies/bulk-actions/preview', { body });
export const previewJobs = (body: object) => request<BulkPreview>('POST', '/api/v1/jobs/bulk-actions/preview', { body });
export const confirmBulk = (token: string) => request<BulkAction>('POST', '/api/v1/bulk-actions', { body: { token } });
export const bulkAction = (id: string) => request<BulkAction>('GET', `/api/v1/bulk-actions/${id}`);
export const stopBulk = (id: string) => request<BulkAction>('POST', `/api/v1/bulk-actions/${id}/stop`);
