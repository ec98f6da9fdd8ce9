-- The last page of each source that could not be split into records, for people who want to see what the provider sent.
CREATE TABLE unreadable_pages (
    source      text        PRIMARY KEY,
    reason      text        NOT NULL,
    -- Bytes, because text cannot contain NUL.
    raw         bytea       NOT NULL,
    run_id      uuid        NOT NULL,
    received_at timestamptz NOT NULL
);
