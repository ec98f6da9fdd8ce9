-- For valuing what was stored before a rate was known.
-- Not made CONCURRENTLY: it would wait for whoever waits for the turn to migrate, who waits for it. Nothing is deployed yet,
-- so the table is not large.
CREATE INDEX transactions_without_rate ON transactions (source, currency, created_at, id) WHERE exchange_rate IS NULL;
