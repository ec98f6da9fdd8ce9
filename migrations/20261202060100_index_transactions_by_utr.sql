-- no-transaction
CREATE INDEX CONCURRENTLY transactions_by_utr ON transactions USING hash (lower(utr));
