-- What is told to dashboards. Ids grow in the order of commits: they are given under an advisory lock just before it.

CREATE TABLE events (
    id         bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    created_at timestamptz NOT NULL,
    body       jsonb       NOT NULL
);

CREATE INDEX events_by_creation ON events (created_at);
