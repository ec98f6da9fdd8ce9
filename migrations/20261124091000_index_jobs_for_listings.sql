-- For whoever asks for jobs of some state or kind: among a million that succeeded they would be far apart. What has
-- succeeded is left out of the first, for nearly every job has: the newest of them are the newest of all.

CREATE INDEX jobs_by_state ON jobs (state, created_at, id) WHERE state <> 'succeeded';
CREATE INDEX jobs_by_kind ON jobs (kind, created_at, id);
-- The first one holds all of it.
DROP INDEX jobs_unsuccessful;
