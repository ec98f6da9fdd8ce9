-- no-transaction
CREATE INDEX CONCURRENTLY transactions_by_country ON transactions (country, created_at);
