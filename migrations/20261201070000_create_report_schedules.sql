-- Reports that are sent regularly, and each sending.

CREATE TABLE report_schedules (
    id             uuid        PRIMARY KEY,
    name           text        NOT NULL,
    kind           text        NOT NULL CHECK (kind IN ('digest', 'export')),
    -- What a person asked to export, and what a job makes of it; without days, which follow from the period.
    export_request jsonb,
    export_spec    jsonb,
    -- Null: the export has no days.
    period         text,
    language       text        NOT NULL CHECK (language IN ('en', 'ru')),
    cron           text        NOT NULL,
    timezone       text        NOT NULL,
    destination    text        NOT NULL CHECK (destination IN ('webhook', 'email', 'object_store')),
    webhook_id     uuid,
    recipients     text[],
    folder         text,
    enabled        boolean     NOT NULL,
    -- Why it was stopped, if no person did it.
    stopped_reason text,
    -- Null if it is not enabled.
    next_run_at    timestamptz,
    -- The key whose rights the reports have.
    owner_key      uuid        NOT NULL,
    owner          text        NOT NULL,
    role           text        NOT NULL CHECK (role IN ('viewer', 'operator', 'admin')),
    -- Null: all projects.
    projects       text[],
    created_at     timestamptz NOT NULL,
    updated_at     timestamptz NOT NULL,
    CHECK ((kind = 'export') = (export_request IS NOT NULL)),
    CHECK ((kind = 'export') = (export_spec IS NOT NULL)),
    CHECK ((destination = 'webhook') = (webhook_id IS NOT NULL)),
    CHECK ((destination = 'email') = (recipients IS NOT NULL)),
    CHECK ((destination = 'object_store') = (folder IS NOT NULL)),
    CHECK (enabled OR next_run_at IS NULL)
);

CREATE INDEX report_schedules_by_creation ON report_schedules (created_at, id);

CREATE TABLE report_runs (
    id           uuid        PRIMARY KEY,
    schedule_id  uuid        NOT NULL REFERENCES report_schedules ON DELETE CASCADE,
    -- The time of the schedule that it is for, or when a person requested it.
    due_at       timestamptz NOT NULL,
    -- Null: the schedule.
    requested_by text,
    state        text        NOT NULL CHECK (state IN ('pending', 'delivered', 'failed')),
    -- The job that creates and delivers it.
    job_id       uuid        NOT NULL,
    -- The export that was made for it.
    export_id    uuid,
    -- What was delivered where.
    result       jsonb,
    error        text,
    created_at   timestamptz NOT NULL,
    finished_at  timestamptz,
    CHECK ((state = 'pending') = (finished_at IS NULL))
);

-- Each time of a schedule has one run, however many processes enqueue it.
CREATE UNIQUE INDEX report_runs_of_schedule ON report_runs (schedule_id, due_at) WHERE requested_by IS NULL;
CREATE INDEX report_runs_by_creation ON report_runs (schedule_id, created_at, id);
CREATE INDEX report_runs_by_export ON report_runs (export_id) WHERE export_id IS NOT NULL;
CREATE INDEX report_runs_pending ON report_runs (job_id) WHERE state = 'pending';
CREATE INDEX report_runs_by_age ON report_runs (created_at);
