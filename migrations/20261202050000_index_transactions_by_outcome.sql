-- no-transaction
-- Failures by what the provider calls them, from the index alone. Nearly every success has the usual name of its source; those
-- are counted by the metric cells, and only the others are in here.
CREATE INDEX CONCURRENTLY transactions_by_outcome ON transactions (created_at)
    INCLUDE (source, kind, project, payment_method, currency, status, original_status, amount, amount_usd)
    WHERE status <> 'success' OR original_status IS DISTINCT FROM CASE source WHEN 'vima' THEN 'success' ELSE 'Success' END;
