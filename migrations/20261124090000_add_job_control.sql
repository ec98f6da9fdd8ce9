-- What the queue needs beyond claiming: suspects, cancelling, pausing, and what the API shows of it.

ALTER TABLE jobs
    -- Its worker died while it was at work: it runs alone, in a process of its own, until it has ended once.
    ADD COLUMN suspect             boolean  NOT NULL DEFAULT false,
    -- How often its process died while it was the only job in it.
    ADD COLUMN deaths_alone        smallint NOT NULL DEFAULT 0,
    ADD COLUMN cancel_requested_at timestamptz,
    ADD COLUMN cancel_requested_by text;
-- Workers look for due jobs themselves now, so nobody need know which bells were rung. A later release drops the column.
COMMENT ON COLUMN jobs.rung_at IS 'no longer used';

-- One for both, so that one statement claims either: whoever claims names the queue, the suspicion and the priority, and so
-- never reads past jobs whose time has not come.
DROP INDEX jobs_waiting;
CREATE INDEX jobs_waiting ON jobs (queue, suspect, priority, due_at, id)
    WHERE state IN ('queued', 'scheduled', 'retrying');
-- For pruning, and for how many a queue finishes.
CREATE INDEX jobs_by_finish ON jobs (finished_at) WHERE finished_at IS NOT NULL;
-- For whoever asks what went wrong: among many that went well they would be far apart.
CREATE INDEX jobs_unsuccessful ON jobs (state, created_at, id) WHERE state IN ('failed', 'cancelled');

-- Rows come and go: what is dead must be cleared before the scans for due jobs grow long.
ALTER TABLE jobs SET (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 500);

ALTER TABLE job_leases
    -- The only job in its process.
    ADD COLUMN alone boolean NOT NULL DEFAULT false;
ALTER TABLE job_leases SET (autovacuum_vacuum_scale_factor = 0.0, autovacuum_vacuum_threshold = 500);

-- PostgreSQL was away: the attempt does not count.
ALTER TABLE job_attempts DROP CONSTRAINT job_attempts_outcome_check;
ALTER TABLE job_attempts ADD CONSTRAINT job_attempts_outcome_check
    CHECK (outcome IN ('succeeded', 'retried', 'postponed', 'failed', 'cancelled', 'handed_back', 'lost'));

-- Queues that nobody claims from, until somebody lets them go on.
CREATE TABLE queue_pauses (
    queue     text        PRIMARY KEY,
    paused_at timestamptz NOT NULL,
    paused_by text        NOT NULL
);

-- The table of what runs when, as the schedulers that run now have it.
CREATE TABLE schedules (
    name         text        PRIMARY KEY,
    kind         text        NOT NULL,
    -- 'every 60 s', or a cron expression.
    expression   text        NOT NULL,
    timezone     text        NOT NULL,
    -- The next tick, as of the last time that a scheduler looked.
    next_tick_at timestamptz,
    seen_at      timestamptz NOT NULL
);

ALTER TABLE processes
    -- The queues that a worker serves.
    ADD COLUMN queues text[] NOT NULL DEFAULT '{}';
