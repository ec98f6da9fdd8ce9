import { cache } from '../../api/cache';
import { api, read, type Schemas } from '../../api/client';
import { ifMatch } from '../../api/ifMatch';

/** Changes a case, if it is still as it was shown. */
export async function updateCase(shown: Schemas['DiscrepancyDetail'], body: Schemas['DiscrepancyUpdate']): Promise<Schemas['DiscrepancyDetail']> {
  const params = { path: { id: shown.id }, header: ifMatch(shown) };
  const changed = await read(api.PATCH('/api/v1/reconciliation/discrepancies/{id}', { params, body }));
  cache.setQueryData(['reconciliation', 'case', shown.id], changed);
  void cache.invalidateQueries({ queryKey: ['reconciliation'] });
  return changed;
}
