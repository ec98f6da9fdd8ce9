import type { Schemas } from '../api/client';

// Vima is read every minute, PayShack every five: a source is stale when some readings in a row have not ended well.
const STALE_AFTER_SECONDS: Record<Schemas['Source'], number> = { vima: 300, payshack: 1200 };

export function staleAfterSeconds(source: Schemas['Source']): number {
  return STALE_AFTER_SECONDS[source];
}

export type Freshness = 'fresh' | 'stale' | 'failed' | 'unread';

export function freshnessOf(sync: Schemas['SourceSyncStatus'], now: Date): Freshness {
  if (sync.last_successful_sync === null) return sync.status === 'failed' ? 'failed' : 'unread';
  const age = (now.getTime() - Date.parse(sync.last_successful_sync)) / 1000;
  if (age > staleAfterSeconds(sync.source)) return 'stale';
  return sync.status === 'failed' ? 'failed' : 'fresh';
}
