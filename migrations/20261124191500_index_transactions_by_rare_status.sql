-- no-transaction
-- A success or a failure is among any handful of payments; of the others there may be one in a thousand.
CREATE INDEX CONCURRENTLY transactions_by_rare_status ON transactions (status, created_at)
    WHERE status NOT IN ('success', 'failed');
