// How a replay of a quarantined record ended (docs/quarantine.md).
import type { Schemas } from '../../api/client';

export type ReplayOutcome = 'stored' | 'malformed' | 'failed';

/** Null while its job has not ended. */
export function replayOutcome(job: Pick<Schemas['JobDetail'], 'state' | 'result'> | undefined): ReplayOutcome | null {
  if (job?.state === 'failed' || job?.state === 'cancelled') return 'failed';
  if (job?.state !== 'succeeded') return null;
  return (job.result as { still_malformed?: unknown } | null)?.still_malformed === 0 ? 'stored' : 'malformed';
}
