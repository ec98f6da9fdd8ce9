-- Endpoints that receive events by HTTP, and what was and is to be delivered to each.

CREATE TABLE webhooks (
    id                    uuid        PRIMARY KEY,
    url                   text        NOT NULL,
    description           text        NOT NULL,
    -- Names of events, or prefixes that end in *.
    events                text[]      NOT NULL,
    -- Null: all.
    sources               text[],
    enabled               boolean     NOT NULL,
    -- Why it was disabled, if no person did it.
    disabled_reason       text,
    disabled_at           timestamptz,
    -- Encrypted with the setting WEBHOOK_ENCRYPTION_KEY.
    secret                bytea       NOT NULL,
    -- The one before the last rotation, which still signs until then.
    previous_secret       bytea,
    previous_secret_until timestamptz,
    -- The last event that was looked at: those after it are not in webhook_deliveries yet.
    last_event_id         bigint      NOT NULL,
    -- Since when every attempt has failed.
    failing_since         timestamptz,
    last_attempt_at       timestamptz,
    last_delivered_at     timestamptz,
    created_at            timestamptz NOT NULL,
    created_by            text        NOT NULL,
    updated_at            timestamptz NOT NULL,
    CHECK ((previous_secret IS NULL) = (previous_secret_until IS NULL)),
    CHECK (enabled OR disabled_at IS NOT NULL)
);

CREATE INDEX webhooks_by_creation ON webhooks (created_at, id);

CREATE TABLE webhook_deliveries (
    -- The message id that the receiver sees: the same in every attempt.
    id               uuid        PRIMARY KEY,
    webhook_id       uuid        NOT NULL REFERENCES webhooks ON DELETE CASCADE,
    -- The order in which an endpoint gets its messages.
    position         bigint      GENERATED ALWAYS AS IDENTITY,
    -- Null if it is not about an event.
    event_id         bigint,
    type             text        NOT NULL,
    -- The body, exactly as it is signed.
    payload          text        NOT NULL,
    -- Whether it waits for the messages before it, and is retried; a test does neither.
    ordered          boolean     NOT NULL,
    state            text        NOT NULL CHECK (state IN ('pending', 'delivered', 'failed')),
    -- Since it was created or replayed.
    attempts         integer     NOT NULL DEFAULT 0,
    created_at       timestamptz NOT NULL,
    -- Null: as soon as it is its turn.
    next_attempt_at  timestamptz,
    -- The last attempt.
    attempted_at     timestamptz,
    duration_ms      bigint,
    status_code      integer,
    error            text,
    response         text,
    finished_at      timestamptz,
    UNIQUE (webhook_id, event_id),
    CHECK ((state = 'pending') = (finished_at IS NULL))
);

CREATE INDEX webhook_deliveries_pending ON webhook_deliveries (webhook_id, position) WHERE state = 'pending' AND ordered;
CREATE INDEX webhook_deliveries_by_creation ON webhook_deliveries (webhook_id, created_at, id);
CREATE INDEX webhook_deliveries_by_age ON webhook_deliveries (COALESCE(finished_at, created_at));
