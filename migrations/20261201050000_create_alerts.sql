-- Rules about payments and about this service, the alerts that they have raised, and the messages about them.

CREATE TABLE alert_rules (
    id                uuid        PRIMARY KEY,
    name              text        NOT NULL,
    description       text        NOT NULL,
    severity          text        NOT NULL CHECK (severity IN ('info', 'warning', 'critical')),
    kind              text        NOT NULL,
    -- What the kind is about: its thresholds and windows.
    parameters        jsonb       NOT NULL,
    -- Each is judged separately. Empty: all payments together.
    projects          text[]      NOT NULL,
    -- Null: all.
    source            text,
    -- How long the condition must hold before the alert fires, and be over before it is resolved.
    for_minutes       integer     NOT NULL CHECK (for_minutes >= 0),
    clear_minutes     integer     NOT NULL CHECK (clear_minutes >= 0),
    -- A source that was read longer ago cannot be judged.
    max_lag_minutes   integer     NOT NULL CHECK (max_lag_minutes > 0),
    enabled           boolean     NOT NULL,
    muted_until       timestamptz,
    created_at        timestamptz NOT NULL,
    created_by        text        NOT NULL,
    updated_at        timestamptz NOT NULL
);

CREATE INDEX alert_rules_by_creation ON alert_rules (created_at, id);

-- Since when the condition of a rule holds, or is over, for one subject.
CREATE TABLE alert_states (
    rule_id        uuid        NOT NULL REFERENCES alert_rules ON DELETE CASCADE,
    -- A project or a source; '' is all payments, or the whole service.
    subject        text        NOT NULL,
    reason         text        NOT NULL CHECK (reason IN ('condition', 'unjudged')),
    breached_since timestamptz,
    clear_since    timestamptz,
    PRIMARY KEY (rule_id, subject, reason)
);

CREATE TABLE alerts (
    id               uuid        PRIMARY KEY,
    -- Null: the rule was deleted.
    rule_id          uuid        REFERENCES alert_rules ON DELETE SET NULL,
    rule_name        text        NOT NULL,
    kind             text        NOT NULL,
    severity         text        NOT NULL CHECK (severity IN ('info', 'warning', 'critical')),
    subject          text        NOT NULL,
    reason           text        NOT NULL CHECK (reason IN ('condition', 'unjudged')),
    message          text        NOT NULL,
    -- The measured value, if there is one.
    value            numeric,
    -- What the condition was judged by: up to this time, payments had been read.
    judged_at        timestamptz NOT NULL,
    fired_at         timestamptz NOT NULL,
    -- Null: the rule was muted.
    notified_at      timestamptz,
    acknowledged_at  timestamptz,
    acknowledged_by  text,
    note             text,
    resolved_at      timestamptz,
    resolved_message text,
    CHECK ((acknowledged_at IS NULL) = (acknowledged_by IS NULL)),
    CHECK ((resolved_at IS NULL) = (resolved_message IS NULL))
);

CREATE UNIQUE INDEX alerts_open ON alerts (rule_id, subject, reason) WHERE resolved_at IS NULL;
CREATE INDEX alerts_by_time ON alerts (fired_at, id);
CREATE INDEX alerts_of_rule ON alerts (rule_id, fired_at, id);

-- Messages to the channels of the operator: one per channel, when an alert fires and when it is resolved.
CREATE TABLE alert_notifications (
    id           uuid        PRIMARY KEY,
    alert_id     uuid        NOT NULL REFERENCES alerts ON DELETE CASCADE,
    channel      text        NOT NULL CHECK (channel IN ('telegram', 'email')),
    state        text        NOT NULL CHECK (state IN ('fired', 'resolved')),
    title        text        NOT NULL,
    body         text        NOT NULL,
    created_at   timestamptz NOT NULL,
    delivered_at timestamptz,
    UNIQUE (alert_id, channel, state)
);
