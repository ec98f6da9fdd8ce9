-- no-transaction
-- For lists of runs by status: most have succeeded.
CREATE INDEX CONCURRENTLY sync_runs_unsuccessful ON sync_runs (status, started_at, id) WHERE status <> 'succeeded';
