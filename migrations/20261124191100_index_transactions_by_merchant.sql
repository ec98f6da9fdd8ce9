-- no-transaction
CREATE INDEX CONCURRENTLY transactions_by_merchant ON transactions (merchant_id, created_at);
