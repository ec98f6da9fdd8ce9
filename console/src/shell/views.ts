// The views, in the order of the rail. Each is a chunk of its own.
import type { Component } from 'svelte';
import type { Role } from '../api/session.svelte';
import type { IconName } from '../ui/icons';

export type ViewName =
  | 'inbox'
  | 'overview'
  | 'payments'
  | 'reconciliation'
  | 'sync'
  | 'jobs'
  | 'alerts'
  | 'merchants'
  | 'reports'
  | 'keys'
  | 'audit';

export interface View {
  readonly name: ViewName;
  readonly path: string;
  readonly icon: IconName;
  readonly role: Role;
  /** The key that follows `g`. */
  readonly key?: string;
  readonly load: () => Promise<{ default: Component }>;
}

export const VIEWS: readonly View[] = [
  { name: 'inbox', path: '/', icon: 'inbox', role: 'viewer', key: 'i', load: () => import('../views/inbox/Inbox.svelte') },
  { name: 'overview', path: '/overview', icon: 'overview', role: 'viewer', key: 'o', load: () => import('../views/overview/Overview.svelte') },
  { name: 'payments', path: '/payments', icon: 'payments', role: 'viewer', key: 'p', load: () => import('../views/payments/Payments.svelte') },
  { name: 'reconciliation', path: '/reconciliation', icon: 'reconciliation', role: 'viewer', key: 'r', load: () => import('../views/reconciliation/Reconciliation.svelte') },
  { name: 'sync', path: '/sync', icon: 'sync', role: 'viewer', key: 's', load: () => import('../views/sync/Sync.svelte') },
  { name: 'jobs', path: '/jobs', icon: 'jobs', role: 'viewer', key: 'j', load: () => import('../views/jobs/Jobs.svelte') },
  { name: 'alerts', path: '/alerts', icon: 'alerts', role: 'viewer', key: 'a', load: () => import('../views/alerts/Alerts.svelte') },
  { name: 'merchants', path: '/merchants', icon: 'merchants', role: 'viewer', key: 'm', load: () => import('../views/merchants/Merchants.svelte') },
  { name: 'reports', path: '/reports', icon: 'reports', role: 'operator', load: () => import('../views/reports/Reports.svelte') },
  { name: 'keys', path: '/keys', icon: 'keys', role: 'admin', load: () => import('../views/keys/Keys.svelte') },
  { name: 'audit', path: '/audit', icon: 'audit', role: 'admin', load: () => import('../views/audit/Audit.svelte') },
];

/** The view of a path: by its first part, so that `/payments/17` is a page of payments. */
export function viewOf(segments: readonly string[]): View | undefined {
  const path = `/${segments[0] ?? ''}`;
  return VIEWS.find((view) => view.path === path);
}
