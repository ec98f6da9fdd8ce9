// How many things wait in the inbox: the number beside its name. It counts kinds of trouble, not their rows.
import { failedJobs, openAlerts, openCases, quarantined } from '../api/queries';

export function inboxCount() {
  const queries = [openCases(), openAlerts(), failedJobs(), quarantined()];
  return {
    get value(): number {
      return queries.filter(({ data }) => (data?.total ?? 0) > 0).length;
    },
  };
}
