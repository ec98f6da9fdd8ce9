import { cache } from '../../api/cache';
import { api, read, type Schemas } from '../../api/client';

/** Changes a case, if it is still as it was shown: a service that sends an `etag` refuses it otherwise (412). */
export async function updateCase(item: Schemas['Discrepancy'], body: Schemas['DiscrepancyUpdate']): Promise<void> {
  const { etag } = item as { etag?: unknown };
  const headers = typeof etag === 'string' ? { 'If-Match': etag } : {};
  try {
    await read(api.PATCH('/api/v1/reconciliation/discrepancies/{id}', { params: { path: { id: item.id } }, body, headers }));
  } finally {
    // Also after a refusal: what is shown is outdated then.
    await cache.invalidateQueries({ queryKey: ['reconciliation'] });
  }
}
