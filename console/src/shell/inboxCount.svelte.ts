// How many things wait in the inbox: the number beside its name. It counts kinds of trouble, not their rows.
import { failedJobs, openAlerts, openCases, syncStatus } from '../api/queries';

export function inboxCount() {
  const lists = [openCases(), openAlerts(), failedJobs()];
  const sync = syncStatus();
  return {
    get value(): number {
      const quarantined = sync.data?.sources.some((source) => source.quarantined > 0) ?? false;
      return lists.filter(({ data }) => (data?.total ?? 0) > 0).length + (quarantined ? 1 : 0);
    },
  };
}
