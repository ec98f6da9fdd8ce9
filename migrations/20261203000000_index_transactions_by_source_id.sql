-- no-transaction
CREATE UNIQUE INDEX CONCURRENTLY transactions_by_source_id ON transactions (source_id, source, kind);
