-- Actions on everything that matched a filter at one moment: a preview, and then the job that carries it out.

CREATE TABLE bulk_actions (
    id               uuid        PRIMARY KEY,
    kind             text        NOT NULL,
    -- By the names of the API.
    filter           jsonb       NOT NULL,
    -- What is set; null for kinds without.
    changes          jsonb,
    -- SHA-256 of the token that confirms it.
    token_hash       bytea       NOT NULL UNIQUE,
    -- Who may confirm it, and with whose rights it runs.
    requested_by_key uuid        NOT NULL,
    requested_by     text        NOT NULL,
    role             text        NOT NULL CHECK (role IN ('viewer', 'operator', 'admin')),
    -- Null: all projects.
    projects         text[],
    -- What matched; each item ends up in one of the others.
    item_count       bigint      NOT NULL,
    applied          bigint      NOT NULL DEFAULT 0,
    skipped          bigint      NOT NULL DEFAULT 0,
    created_at       timestamptz NOT NULL,
    -- Until when it can be confirmed.
    expires_at       timestamptz NOT NULL,
    confirmed_at     timestamptz,
    -- The job that carries it out, or the last of several.
    job_id           uuid,
    finished_at      timestamptz,
    CHECK (applied + skipped <= item_count),
    CHECK ((confirmed_at IS NULL) = (job_id IS NULL)),
    CHECK (finished_at IS NULL OR applied + skipped = item_count)
);

CREATE INDEX bulk_actions_by_creation ON bulk_actions (created_at, id);
CREATE INDEX bulk_actions_unconfirmed ON bulk_actions (requested_by_key, created_at) WHERE confirmed_at IS NULL;

-- What is still to do: the items of one transaction, with their versions at the time of the preview. Deleted when done.
CREATE TABLE bulk_action_batches (
    action_id uuid    NOT NULL REFERENCES bulk_actions ON DELETE CASCADE,
    batch     integer NOT NULL,
    item_ids  uuid[]  NOT NULL,
    versions  text[]  NOT NULL,
    PRIMARY KEY (action_id, batch),
    CHECK (cardinality(item_ids) = cardinality(versions))
);

-- What was left as it is, and why.
CREATE TABLE bulk_action_skips (
    action_id uuid NOT NULL REFERENCES bulk_actions ON DELETE CASCADE,
    item_id   uuid NOT NULL,
    reason    text NOT NULL,
    detail    text NOT NULL,
    PRIMARY KEY (action_id, item_id)
);
