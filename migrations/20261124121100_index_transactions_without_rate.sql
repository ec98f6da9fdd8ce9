-- no-transaction
-- For valuing what was stored before a rate was known.
CREATE INDEX CONCURRENTLY transactions_without_rate ON transactions (source, currency, created_at, id)
    WHERE exchange_rate IS NULL;
