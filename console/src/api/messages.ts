// The messages of /ws/updates, as far as the console uses them (openapi/asyncapi.yaml has all). Types and fields may be added
// by the service, so a message is read by the fields it has, not by an exhaustive union.
import type { Topic } from './cache';

export interface LiveMessage {
  readonly type: string;
  readonly id: number;
  readonly event_id?: number;
  readonly timestamp: string;
  readonly source?: string;
  readonly date?: string;
  readonly count?: number;
  readonly progress?: number;
  readonly total?: number | null;
  readonly percent?: number | null;
  readonly records_synced?: number;
  readonly inserted?: number;
  readonly updated?: number;
  readonly error?: string;
  readonly kind?: string;
  readonly job_id?: string;
  readonly name?: string;
  readonly severity?: string;
  readonly message?: string;
}

export function parseMessage(data: unknown): LiveMessage | null {
  if (typeof data !== 'string') return null;
  try {
    const parsed: unknown = JSON.parse(data);
    if (typeof parsed !== 'object' || parsed === null) return null;
    const message = parsed as Record<string, unknown>;
    if (typeof message['type'] !== 'string') return null;
    // The id of `export_ready` is that of the export.
    if (typeof message['id'] !== 'number' && typeof message['event_id'] !== 'number') return null;
    return message as unknown as LiveMessage;
  } catch {
    return null;
  }
}

// A sync announces at intervals that metrics are updated; the figures count what is stored as soon as it is committed.
const TOPICS: readonly (readonly [RegExp, readonly Topic[]])[] = [
  [/^metrics_updated$/, ['metrics']],
  [/^(new_transactions|transactions_updated)$/, ['payments', 'metrics']],
  [/^sync_(started|progress)$/, ['sync']],
  [/^sync_(completed|failed)$/, ['sync', 'jobs']],
  [/^reconciliation_(started|progress)$/, ['reconciliation']],
  [/^reconciliation_(completed|failed)$/, ['reconciliation', 'jobs']],
  [/^job_failed$/, ['jobs']],
  [/^export_ready$/, ['exports']],
  [/^alert$/, ['alerts']],
];

/** What is outdated after a message. */
export function topicsOf(type: string): readonly Topic[] {
  return TOPICS.find(([pattern]) => pattern.test(type))?.[1] ?? [];
}
