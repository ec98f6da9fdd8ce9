-- For whoever asks for jobs of some kind: those of a rare one are far apart among a million of the others.
CREATE INDEX jobs_by_kind ON jobs (kind, created_at, id);

-- For whoever joins a live job: the unique index knows only those that were not forced to queue behind. It leaves out the
-- jobs without a key, so that no question about all that wait can take it for the index of those.
CREATE INDEX jobs_joinable ON jobs (kind, unique_key, forced, created_at)
    WHERE unique_key IS NOT NULL AND state IN ('queued', 'scheduled', 'running', 'retrying');
