-- no-transaction
-- For alerts about payments whose final status changed: few, among the changes of years.
CREATE INDEX CONCURRENTLY transaction_changes_of_final ON transaction_changes (recorded_at)
    WHERE old_status IN ('success', 'failed', 'refunded') AND old_status <> new_status;
