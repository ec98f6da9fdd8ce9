// Queries that more than one view uses. A view's own queries stand beside it. The first key is the topic by which live events
// refresh them.
import { createQuery } from '@tanstack/svelte-query';
import { clock } from '../lib/clock.svelte';
import { api, isForbidden, read } from './client';

export function filterValues() {
  return createQuery(() => ({
    queryKey: ['settings', 'filters'],
    queryFn: () => read(api.GET('/api/v1/filters')),
    staleTime: 5 * 60_000,
  }));
}

export function syncStatus() {
  return createQuery(() => ({
    queryKey: ['sync', 'status'],
    queryFn: () => read(api.GET('/api/v1/sync/status')),
    refetchInterval: (query: { state: { error: Error | null } }) => (isForbidden(query.state.error) ? false : 30_000),
  }));
}

export function openAlerts() {
  return createQuery(() => ({
    queryKey: ['alerts', 'open'],
    queryFn: () => read(api.GET('/api/v1/alerts', { params: { query: { open: true, limit: 100 } } })),
  }));
}

export function openCases() {
  return createQuery(() => ({
    queryKey: ['reconciliation', 'open-cases'],
    queryFn: () => read(api.GET('/api/v1/reconciliation/discrepancies', { params: { query: { state: ['open', 'acknowledged'], limit: 20 } } })),
  }));
}

/** Since when failed jobs need attention: a day, from a full hour on, so that the query is the same for an hour. */
export function failedSince(): string {
  const hour = 3_600_000;
  return new Date((Math.floor(clock.now.getTime() / hour) - 24) * hour).toISOString();
}

export function failedJobs() {
  return createQuery(() => {
    const since = failedSince();
    return {
      queryKey: ['jobs', 'failed', since],
      queryFn: () => read(api.GET('/api/v1/jobs', { params: { query: { state: ['failed'], created_from: since, limit: 20 } } })),
    };
  });
}
