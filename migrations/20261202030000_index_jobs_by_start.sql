-- no-transaction
-- For lists of jobs sorted by their start.
CREATE INDEX CONCURRENTLY jobs_by_start ON jobs (started_at, id) WHERE started_at IS NOT NULL;
