-- no-transaction
-- For the last successful run of a source, without reading its other runs.
CREATE INDEX CONCURRENTLY sync_runs_succeeded ON sync_runs (source, finished_at DESC) WHERE status = 'succeeded';
