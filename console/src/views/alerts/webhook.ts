// What a webhook is set to and how it is doing (docs/webhooks.md).
import type { Schemas } from '../../api/client';

/** Names of events, and the prefixes that are worth offering. Progress comes several times a second. */
export const EVENTS = [
  'new_transactions',
  'transactions_updated',
  'metrics_updated',
  'sync_*',
  'sync_started',
  'sync_completed',
  'sync_failed',
  'sync_progress',
  'reconciliation_*',
  'reconciliation_started',
  'reconciliation_completed',
  'reconciliation_failed',
  'reconciliation_progress',
  'export_ready',
  'job_failed',
  'alert',
] as const;

const EVERYTHING = '*';

export const SOURCES = ['vima', 'payshack'] as const satisfies readonly Schemas['Source'][];

export interface WebhookForm {
  url: string;
  description: string;
  /** Empty: all. */
  events: string[];
  /** Empty: both. */
  sources: Schemas['Source'][];
}

export function toForm(webhook: Schemas['Webhook'] | null): WebhookForm {
  return {
    url: webhook?.url ?? '',
    description: webhook?.description ?? '',
    events: subscribedTo(webhook?.events ?? []),
    sources: webhook?.sources ?? [],
  };
}

export function toRequest({ url, description, events, sources }: WebhookForm): Schemas['WebhookRequest'] {
  return {
    url: url.trim(),
    description: description.trim(),
    events: events.length > 0 ? events : null,
    sources: sources.length > 0 && sources.length < SOURCES.length ? sources : null,
  };
}

/** The chosen events; empty if it gets all. */
export function subscribedTo(events: readonly string[]): string[] {
  return events.includes(EVERYTHING) ? [] : [...events];
}

export type WebhookState = 'enabled' | 'failing' | 'stopped' | 'disabled';

/** Who has disabled it makes a difference: a person did so on purpose, the service because it failed for days. */
export function stateOf({ enabled, failing_since, disabled_reason }: Pick<Schemas['Webhook'], 'enabled' | 'failing_since' | 'disabled_reason'>): WebhookState {
  if (!enabled) return disabled_reason === null ? 'disabled' : 'stopped';
  return failing_since === null ? 'enabled' : 'failing';
}

/** What waits is delivered anyway, and a test is requested again instead (409 for both). */
export function canReplay({ state, type }: Pick<Schemas['WebhookDelivery'], 'state' | 'type'>): boolean {
  return state !== 'pending' && type !== 'test';
}
