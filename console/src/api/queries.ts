// Queries that more than one view uses. A view's own queries stand beside it. The first key is the topic by which live events
// refresh them.
import { createQuery } from '@tanstack/svelte-query';
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

export function failedJobs() {
  return createQuery(() => ({
    queryKey: ['jobs', 'failed'],
    queryFn: () => read(api.GET('/api/v1/jobs', { params: { query: { state: ['failed'], limit: 20 } } })),
  }));
}
