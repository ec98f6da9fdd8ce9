// Operations that are being added to the API. Each is used only where `features` says that the service has it; the shapes are
// those parts that the console reads, with everything optional that it can do without.
import type { Schemas } from './client';
import { request } from './client';
import type { QueryValue } from '../lib/query';

export interface Reason {
  readonly code?: string;
  readonly message?: string;
  readonly sentence?: string;
}

/** The sentence of a reason, whichever field carries it. */
export function sentenceOf(reason: Reason): string {
  return reason.sentence ?? reason.message ?? reason.code ?? '';
}

export type Explanation = Readonly<Record<string, unknown>>;

export const explainTransaction = (id: string) => request<Explanation>('GET', `/api/v1/transactions/${encodeURIComponent(id)}/explain`);

export const explainReference = (reference: string) => request<Explanation>('GET', '/api/v1/explain/payment', { query: { reference } });

export interface LookupItem {
  readonly input: string;
  readonly matches: readonly Schemas['Transaction'][];
}

export const lookupIds = (ids: readonly string[]) => request<{ items: readonly LookupItem[] }>('POST', '/api/v1/transactions/lookup', { body: { ids } });

export interface QueueMinute {
  readonly minute: string;
  readonly queue?: string;
  readonly depth?: number | null;
  readonly finished?: number | null;
  readonly failed?: number | null;
}

export const queueHistory = (query: Record<string, QueryValue>) => request<{ items: readonly QueueMinute[] }>('GET', '/api/v1/queues/history', { query });

export interface WorkerProcess {
  readonly id?: string;
  readonly host?: string | null;
  readonly version?: string | null;
  readonly queues?: readonly string[] | null;
  readonly started_at?: string | null;
  readonly last_heartbeat_at?: string | null;
  readonly alive?: boolean;
  readonly running?: readonly { id?: string; job_id?: string; kind?: string }[];
}

export const workers = () => request<{ items: readonly WorkerProcess[] }>('GET', '/api/v1/workers');

/** What the job waits for, in `GET /jobs/{id}` of a service that says it. */
export function waitingFor(job: Schemas['JobDetail']): readonly Reason[] {
  const reasons = (job as { waiting_for?: unknown }).waiting_for;
  return Array.isArray(reasons) ? reasons : [];
}

export interface CurrencySum {
  readonly currency: string;
  readonly count?: number;
  readonly amount?: string | null;
  readonly success_amount?: string | null;
}

/** The sums by currency of a metric answer, largest count first as the service sorts them. */
export function sumsByCurrency(answer: object | undefined): readonly CurrencySum[] {
  const sums = (answer as { by_currency?: unknown } | undefined)?.by_currency;
  return Array.isArray(sums) ? sums : [];
}

/** How many payments Vima does not have, in an answer that counts payments. */
export function notInVima(answer: object | undefined): number {
  const missing = (answer as { not_in_vima?: { count?: unknown } | null } | undefined)?.not_in_vima;
  return typeof missing?.count === 'number' ? missing.count : 0;
}

export type Merchant = Readonly<Record<string, unknown>>;
