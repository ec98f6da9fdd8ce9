-- no-transaction
CREATE INDEX CONCURRENTLY transactions_by_currency ON transactions (currency, created_at);
