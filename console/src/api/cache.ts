// The query cache. Its first key says which live events outdate an entry (live.svelte.ts).
import { QueryClient } from '@tanstack/svelte-query';
import { ApiError } from './problem';

export type Topic = 'metrics' | 'payments' | 'sync' | 'reconciliation' | 'jobs' | 'alerts' | 'exports' | 'settings';

export const cache = new QueryClient({
  defaultOptions: {
    queries: {
      staleTime: 10_000,
      refetchOnWindowFocus: true,
      retry: (failures, error) => failures < 2 && (!(error instanceof ApiError) || error.isTemporary),
      retryDelay: (attempt) => Math.min(1000 * 2 ** attempt, 10_000),
    },
  },
});
