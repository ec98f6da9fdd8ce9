-- How far each source has been read, by which runs, and what could not be read.

CREATE TABLE sync_streams (
    source       text        NOT NULL,
    stream       text        NOT NULL,
    -- Where the next run goes on: an id of the provider, or a day that is being read.
    cursor       numeric(38),
    day          date,
    -- The start of the last complete, successful read, and how far back the reads reach.
    watermark    timestamptz,
    covered_from timestamptz,
    PRIMARY KEY (source, stream)
);

-- Where a cursor stood and when, so that a run can start from where it stood a while ago: ids become visible late.
CREATE TABLE sync_cursor_marks (
    source     text        NOT NULL,
    stream     text        NOT NULL,
    reached_at timestamptz NOT NULL,
    cursor     numeric(38) NOT NULL,
    PRIMARY KEY (source, stream, reached_at)
);

CREATE TABLE sync_runs (
    id           uuid        PRIMARY KEY,
    source       text        NOT NULL,
    mode         text        NOT NULL CHECK (mode IN ('incremental', 'full', 'range')),
    trigger      text        NOT NULL,
    job_id       uuid        NOT NULL,
    from_date    date,
    to_date      date,
    started_at   timestamptz NOT NULL,
    finished_at  timestamptz,
    status       text        NOT NULL CHECK (status IN ('running', 'succeeded', 'incomplete', 'failed', 'cancelled')),
    pages        bigint      NOT NULL DEFAULT 0,
    records_seen bigint      NOT NULL DEFAULT 0,
    inserted     bigint      NOT NULL DEFAULT 0,
    updated      bigint      NOT NULL DEFAULT 0,
    unchanged    bigint      NOT NULL DEFAULT 0,
    quarantined  bigint      NOT NULL DEFAULT 0,
    error        text,
    CHECK (records_seen = inserted + updated + unchanged + quarantined)
);

CREATE INDEX sync_runs_by_start ON sync_runs (source, started_at DESC, id);
CREATE INDEX sync_runs_running ON sync_runs (job_id) WHERE status = 'running';

-- Records that could not be read. The same content is one entry, however often it comes.
CREATE TABLE quarantine (
    id            uuid        PRIMARY KEY,
    source        text        NOT NULL,
    kind          text        NOT NULL,
    source_id     text,
    reason        text        NOT NULL,
    raw           bytea       NOT NULL,
    raw_hash      bytea       NOT NULL,
    run_id        uuid        NOT NULL,
    first_seen_at timestamptz NOT NULL,
    last_seen_at  timestamptz NOT NULL,
    times_seen    bigint      NOT NULL DEFAULT 1,
    UNIQUE (source, kind, raw_hash)
);
