-- no-transaction
-- For jobs whose error contains a text: few jobs have one.
CREATE INDEX CONCURRENTLY jobs_with_error ON jobs (created_at, id) WHERE error IS NOT NULL;
