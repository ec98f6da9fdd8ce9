-- Who may ask, what was asked already, and the key that page cursors are signed with.

CREATE TABLE api_keys (
    id           uuid        PRIMARY KEY,
    name         text        NOT NULL CHECK (name <> ''),
    role         text        NOT NULL CHECK (role IN ('viewer', 'operator', 'admin')),
    prefix       text        NOT NULL,
    -- SHA-256 of the key: keys are 256 random bits, so a slow hash would protect nothing.
    key_hash     bytea       NOT NULL UNIQUE,
    created_at   timestamptz NOT NULL,
    last_used_at timestamptz,
    revoked_at   timestamptz
);

CREATE TABLE idempotent_requests (
    -- SHA-256 over who asked, the path and the Idempotency-Key.
    key_hash   bytea       PRIMARY KEY,
    body_hash  bytea       NOT NULL,
    answer     jsonb,
    created_at timestamptz NOT NULL
);

CREATE INDEX idempotent_requests_by_creation ON idempotent_requests (created_at);

-- One row. Made here, so that every web process signs with the same key and nobody has to set one.
CREATE TABLE cursor_key (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    key      bytea   NOT NULL
);

INSERT INTO cursor_key (key)
VALUES (sha256(convert_to(gen_random_uuid()::text || gen_random_uuid()::text || gen_random_uuid()::text, 'UTF8')));
