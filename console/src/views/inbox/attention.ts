// What needs attention, most urgent first, from the answers that have arrived. Pure, so that its order has a test.
import type { Schemas } from '../../api/client';

/** Unresolved cases of eight days and more: those that a week has not settled. */
export function oldCases(open: Schemas['OpenDiscrepancies'] | undefined): number {
  return open?.by_age.filter(({ bucket }) => bucket === '8+').reduce((sum, { count }) => sum + count, 0) ?? 0;
}

/** The number of the last page of a list, as far as the API can be asked for it: 100,000 items may be before it. */
export function lastPage(total: number, limit: number): number {
  return Math.max(1, Math.min(Math.ceil(total / limit), Math.floor(100_000 / limit) + 1));
}

export type Kind = 'source' | 'alerts' | 'cases' | 'jobs' | 'quarantine';

export interface Facts {
  readonly sources: readonly { source: Schemas['Source']; state: 'fresh' | 'stale' | 'failed' | 'unread' }[];
  readonly alerts: readonly Pick<Schemas['Alert'], 'severity'>[];
  readonly cases: number;
  readonly failedJobs: number;
  readonly quarantined: number;
}

/** The kinds of trouble that there are, in the order in which they are worth looking at. */
export function urgent({ sources, alerts, cases, failedJobs, quarantined }: Facts): Kind[] {
  const found: Kind[] = [];
  const critical = alerts.some(({ severity }) => severity === 'critical');
  if (critical) found.push('alerts');
  if (sources.some(({ state }) => state === 'failed' || state === 'stale')) found.push('source');
  if (cases > 0) found.push('cases');
  if (failedJobs > 0) found.push('jobs');
  if (alerts.length > 0 && !critical) found.push('alerts');
  if (quarantined > 0) found.push('quarantine');
  return found;
}
