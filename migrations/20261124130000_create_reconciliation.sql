-- What each reconciliation found, which never changes, and the cases that people work on, which live across runs.

CREATE TABLE reconciliation_runs (
    -- That of the job that runs it: a run is what its job does, however many attempts it takes.
    id                     uuid        PRIMARY KEY,
    recon_date             date        NOT NULL,
    -- The how-manieth completed run of its day it is.
    version                integer,
    status                 text        NOT NULL CHECK (status IN ('running', 'completed', 'failed', 'cancelled')),
    trigger                text        NOT NULL,
    requested_by           text,
    started_at             timestamptz NOT NULL,
    finished_at            timestamptz,
    error                  text,
    -- The rules it went by, the instants of its day, and the one time at which everything was judged.
    parameters             jsonb       NOT NULL,
    day_from               timestamptz NOT NULL,
    day_until              timestamptz NOT NULL,
    as_of                  timestamptz,
    -- How far each side had been read.
    vima_watermark         timestamptz,
    vima_covered_from      timestamptz,
    payshack_watermark     timestamptz,
    payshack_covered_from  timestamptz,
    -- Rows assigned to the day, and what became of them. Pending pairs count once among the keys, and on either side.
    total_vima             bigint      NOT NULL DEFAULT 0,
    total_payshack         bigint      NOT NULL DEFAULT 0,
    matched                bigint      NOT NULL DEFAULT 0,
    amount_discrepancies   bigint      NOT NULL DEFAULT 0,
    status_discrepancies   bigint      NOT NULL DEFAULT 0,
    missing_vima           bigint      NOT NULL DEFAULT 0,
    missing_payshack       bigint      NOT NULL DEFAULT 0,
    pending                bigint      NOT NULL DEFAULT 0,
    pending_vima           bigint      NOT NULL DEFAULT 0,
    pending_payshack       bigint      NOT NULL DEFAULT 0,
    duplicate_vima         bigint      NOT NULL DEFAULT 0,
    duplicate_payshack     bigint      NOT NULL DEFAULT 0,
    unmatchable_vima       bigint      NOT NULL DEFAULT 0,
    unmatchable_payshack   bigint      NOT NULL DEFAULT 0,
    -- By currency: what was matched, and what is at risk by the type of discrepancy.
    amounts                jsonb       NOT NULL DEFAULT '{}',
    UNIQUE (recon_date, version),
    CHECK ((status = 'completed') = (version IS NOT NULL)),
    -- Every row of a side is one of these: nothing is lost and nothing is counted twice.
    CHECK (total_vima = matched + amount_discrepancies + status_discrepancies + missing_payshack + pending_vima
                        + duplicate_vima + unmatchable_vima),
    CHECK (total_payshack = matched + amount_discrepancies + status_discrepancies + missing_vima + pending_payshack
                        + duplicate_payshack + unmatchable_payshack)
);

CREATE INDEX reconciliation_runs_by_start ON reconciliation_runs (started_at, id);
CREATE INDEX reconciliation_runs_by_day ON reconciliation_runs (recon_date, started_at);
CREATE INDEX reconciliation_runs_running ON reconciliation_runs (id) WHERE status = 'running';

-- Everything that a run found that is not simply matched. What is matched is what is left of its day.
CREATE TABLE reconciliation_results (
    id                bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    run_id            uuid        NOT NULL REFERENCES reconciliation_runs (id),
    recon_date        date        NOT NULL,
    -- The key that both sides share; null where a row has none.
    key               text,
    -- The how-manieth payment of the day under this key it is: one may be used again once the window has passed.
    occurrence        integer     NOT NULL DEFAULT 1,
    match_status      text        NOT NULL CHECK (match_status IN ('discrepancy', 'missing_vima', 'missing_payshack', 'pending', 'duplicate', 'unmatchable')),
    types             text[]      NOT NULL CHECK (types <@ ARRAY['amount', 'status', 'missing', 'duplicate']),
    project           text,
    vima_txn_id       uuid,
    payshack_txn_id   uuid,
    vima_amount       numeric,
    -- What PayShack says was paid where that is a success, else what was asked for.
    payshack_amount   numeric,
    -- Vima's less PayShack's; null where a side is missing or the currencies differ.
    amount_diff       numeric,
    vima_currency     text,
    payshack_currency text,
    vima_status       text,
    payshack_status   text,
    -- Why, enough to check it by hand.
    details           jsonb       NOT NULL,
    CHECK (num_nonnulls(vima_txn_id, payshack_txn_id) > 0),
    CHECK (match_status NOT IN ('duplicate', 'unmatchable') OR num_nonnulls(vima_txn_id, payshack_txn_id) = 1)
);

CREATE INDEX reconciliation_results_of_run ON reconciliation_results (run_id, match_status, id);
CREATE INDEX reconciliation_results_by_vima ON reconciliation_results (vima_txn_id) WHERE vima_txn_id IS NOT NULL;
CREATE INDEX reconciliation_results_by_payshack ON reconciliation_results (payshack_txn_id) WHERE payshack_txn_id IS NOT NULL;

-- The cases. What a run found is copied onto its case, so that one table answers the listings.
CREATE TABLE discrepancies (
    id                uuid        PRIMARY KEY,
    recon_date        date        NOT NULL,
    key               text        NOT NULL,
    occurrence        integer     NOT NULL,
    -- The row that is one too many, where the case is about one.
    duplicate_txn_id  uuid,
    match_status      text        NOT NULL CHECK (match_status IN ('discrepancy', 'missing_vima', 'missing_payshack', 'duplicate')),
    types             text[]      NOT NULL,
    project           text,
    vima_txn_id       uuid,
    payshack_txn_id   uuid,
    vima_amount       numeric,
    payshack_amount   numeric,
    amount_diff       numeric,
    vima_currency     text,
    payshack_currency text,
    vima_status       text,
    payshack_status   text,
    details           jsonb       NOT NULL,
    state             text        NOT NULL CHECK (state IN ('open', 'acknowledged', 'resolved', 'ignored', 'auto_resolved')),
    assignee          text,
    -- The last note of a person.
    note              text,
    first_seen_at     timestamptz NOT NULL,
    first_run_id      uuid        NOT NULL,
    -- The last run that found it, where a later one did not; null while the last run of the day finds it. So a run that
    -- finds everything as it was writes nothing.
    last_run_id       uuid,
    last_seen_at      timestamptz,
    resolved_at       timestamptz,
    created_at        timestamptz NOT NULL,
    CHECK ((match_status = 'duplicate') = (duplicate_txn_id IS NOT NULL)),
    CHECK ((last_run_id IS NULL) = (last_seen_at IS NULL)),
    CHECK ((state IN ('resolved', 'ignored', 'auto_resolved')) = (resolved_at IS NOT NULL))
);

-- A case is known by its day and its key, and one about a row too many by that row as well.
CREATE UNIQUE INDEX discrepancies_by_key ON discrepancies (recon_date, key, occurrence) WHERE duplicate_txn_id IS NULL;
CREATE UNIQUE INDEX discrepancies_by_duplicate ON discrepancies (recon_date, key, duplicate_txn_id)
    WHERE duplicate_txn_id IS NOT NULL;
CREATE INDEX discrepancies_by_day ON discrepancies (recon_date, id);
CREATE INDEX discrepancies_unresolved ON discrepancies (recon_date, id) WHERE state IN ('open', 'acknowledged');
CREATE INDEX discrepancies_by_vima ON discrepancies (vima_txn_id) WHERE vima_txn_id IS NOT NULL;
CREATE INDEX discrepancies_by_payshack ON discrepancies (payshack_txn_id) WHERE payshack_txn_id IS NOT NULL;

-- What became of a case: by whom, when, from what to what, and what was said.
CREATE TABLE discrepancy_changes (
    id             bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    discrepancy_id uuid        NOT NULL REFERENCES discrepancies (id),
    changed_at     timestamptz NOT NULL,
    -- The name of the key of a person; null where a run did it.
    changed_by     text,
    run_id         uuid,
    from_state     text,
    to_state       text        NOT NULL,
    from_assignee  text,
    to_assignee    text,
    note           text,
    -- What the case was about before and after, as reconciliation_results tell it.
    from_facts     jsonb,
    to_facts       jsonb,
    CHECK (num_nonnulls(changed_by, run_id) = 1)
);

CREATE INDEX discrepancy_changes_of_case ON discrepancy_changes (discrepancy_id, id);
