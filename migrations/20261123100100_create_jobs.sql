-- The ledger of jobs: what is to be done is first a row here; the queue only carries bells.

CREATE TABLE jobs (
    id            uuid        PRIMARY KEY,
    kind          text        NOT NULL,
    args          jsonb       NOT NULL,
    queue         text        NOT NULL,
    priority      smallint    NOT NULL,
    state         text        NOT NULL
                  CHECK (state IN ('queued', 'scheduled', 'running', 'retrying', 'succeeded', 'failed', 'cancelled')),
    trigger       text        NOT NULL CHECK (trigger IN ('schedule', 'api', 'cli', 'retry')),
    requested_by  text,
    -- Two live jobs of one kind never share it, but for one that was forced to queue behind.
    unique_key    text,
    forced        boolean     NOT NULL DEFAULT false,
    -- Jobs that share it run one at a time, across all workers.
    limit_key     text,
    scheduled_for timestamptz,
    due_at        timestamptz NOT NULL,
    -- When its bell was last put on the wire.
    rung_at       timestamptz,
    attempt       integer     NOT NULL DEFAULT 0,
    max_attempts  integer     NOT NULL CHECK (max_attempts > 0),
    -- Grows with each claim; whoever writes in the name of a job must hold the newest.
    epoch         bigint      NOT NULL DEFAULT 0,
    error         text,
    progress      jsonb,
    result        jsonb,
    created_at    timestamptz NOT NULL,
    started_at    timestamptz,
    finished_at   timestamptz
);

CREATE UNIQUE INDEX jobs_live_key ON jobs (kind, unique_key)
    WHERE unique_key IS NOT NULL AND NOT forced AND state IN ('queued', 'scheduled', 'running', 'retrying');
CREATE INDEX jobs_waiting ON jobs (queue, priority, due_at, id) WHERE state IN ('queued', 'scheduled', 'retrying');
CREATE INDEX jobs_by_creation ON jobs (created_at, id);

-- Who works on a job, and until when nobody else may. Apart from jobs, so that a heartbeat never waits for a page.
CREATE TABLE job_leases (
    job_id     uuid        PRIMARY KEY REFERENCES jobs (id) ON DELETE CASCADE,
    epoch      bigint      NOT NULL,
    worker     text        NOT NULL,
    limit_key  text        UNIQUE,
    expires_at timestamptz NOT NULL
);

CREATE TABLE job_attempts (
    job_id      uuid        NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    epoch       bigint      NOT NULL,
    attempt     integer     NOT NULL,
    worker      text        NOT NULL,
    started_at  timestamptz NOT NULL,
    finished_at timestamptz,
    outcome     text        CHECK (outcome IN ('succeeded', 'retried', 'failed', 'cancelled', 'handed_back', 'lost')),
    error       text,
    PRIMARY KEY (job_id, epoch)
);

-- Each tick of a schedule, once, whichever scheduler was first.
CREATE TABLE schedule_ticks (
    schedule text        NOT NULL,
    tick_at  timestamptz NOT NULL,
    job_id   uuid        NOT NULL,
    PRIMARY KEY (schedule, tick_at)
);

-- Processes that are alive, for health.
CREATE TABLE processes (
    name         text        PRIMARY KEY,
    role         text        NOT NULL CHECK (role IN ('worker', 'scheduler')),
    started_at   timestamptz NOT NULL,
    last_seen_at timestamptz NOT NULL
);
