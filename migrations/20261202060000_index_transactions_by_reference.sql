-- no-transaction
CREATE INDEX CONCURRENTLY transactions_by_reference ON transactions USING hash (lower(reference_id));
