import { pluralIn } from '../plural';

const plural = pluralIn('en');

export const inbox = {
  title: 'Inbox',
  attention: 'Needs attention',
  calm: 'Nothing needs attention.',
  calmText: 'Sources are read, payments match, no job failed.',
  atRisk: 'Value at risk',
  openCases: (n: number) => plural(n, { one: '# unresolved case', other: '# unresolved cases' }),
  oldCases: (n: number) => plural(n, { one: '# older than a week', other: '# older than a week' }),
  oldest: 'Oldest unresolved cases',
  alerts: (n: number) => plural(n, { one: '# open alert', other: '# open alerts' }),
  failedJobs: (n: number) => plural(n, { one: '# failed job', other: '# failed jobs' }),
  lastFailed: (kind: string) => `last: ${kind}`,
  quarantined: (n: number) => plural(n, { one: '# record in quarantine', other: '# records in quarantine' }),
  quarantineText: 'They could not be read and are in no figure.',
  sourceFailed: (source: string) => `${source}: the last sync failed`,
  sourceStale: (source: string) => `${source} is not being read`,
  sourceStaleText: (since: string) => `The last complete reading ended ${since}.`,
  today: 'Today',
  toOverview: 'Overview',
  activity: 'Live activity',
  quiet: 'Nothing has happened since this page was opened.',
  event: {
    sync_started: (source: string) => `${source}: sync started`,
    sync_completed: (source: string, records: number) => `${source}: sync read ${plural(records, { one: '# record', other: '# records' })}`,
    sync_failed: (source: string) => `${source}: sync failed`,
    new_transactions: (source: string, n: number) => `${source}: ${plural(n, { one: '# new payment', other: '# new payments' })}`,
    transactions_updated: (source: string, n: number) => `${source}: ${plural(n, { one: '# payment changed', other: '# payments changed' })}`,
    reconciliation_started: (day: string) => `Reconciliation of ${day} started`,
    reconciliation_completed: (day: string) => `Reconciliation of ${day} completed`,
    reconciliation_failed: (day: string) => `Reconciliation of ${day} failed`,
    job_failed: (kind: string) => `Job ${kind} failed`,
    export_ready: 'An export is ready',
    alert: (name: string) => `Alert: ${name}`,
  },
};
