-- What people did that somebody may have to account for: exports of more than a thousand rows.
CREATE TABLE audit_entries (
    id        uuid        PRIMARY KEY,
    began_at  timestamptz NOT NULL,
    -- Null while it goes on, and where its process died.
    ended_at  timestamptz,
    principal text        NOT NULL,
    role      text        NOT NULL,
    action    text        NOT NULL,
    details   jsonb       NOT NULL,
    rows      bigint,
    outcome   text
);

CREATE INDEX audit_entries_by_beginning ON audit_entries (began_at, id);
