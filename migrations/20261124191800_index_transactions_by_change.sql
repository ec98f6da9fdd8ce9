-- no-transaction
CREATE INDEX CONCURRENTLY transactions_by_change ON transactions ((COALESCE(updated_at, created_at)), id);
