import { live } from '../../api/live.svelte';

// No event says that a job starts or waits, so what this view shows is asked for, often enough to see a job run.
const EVERY_MS = 3000;

export function pollInterval(): number | false {
  return live.paused ? false : EVERY_MS;
}
