-- no-transaction
CREATE INDEX CONCURRENTLY transactions_by_payment_method ON transactions (payment_method, created_at);
