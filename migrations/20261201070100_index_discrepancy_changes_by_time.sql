-- no-transaction
-- For digests, which count what was opened and closed on a day.
CREATE INDEX CONCURRENTLY discrepancy_changes_by_time ON discrepancy_changes (changed_at);
