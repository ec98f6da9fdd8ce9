-- Browser sessions. A cookie holds the token; only its digest is stored.
CREATE TABLE sessions (
    -- The first half of the token's digest, to refer to the session where the token must not be.
    id         uuid        PRIMARY KEY,
    token_hash bytea       NOT NULL CHECK (octet_length(token_hash) = 32),
    -- The caller: an API key, or a user of the identity provider if there is an issuer.
    key_id     uuid        NOT NULL,
    issuer     text,
    name       text        NOT NULL,
    role       text        NOT NULL CHECK (role IN ('viewer', 'operator', 'admin')),
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    ended_at   timestamptz,
    CHECK (expires_at > created_at)
);

CREATE INDEX sessions_expires_at ON sessions (expires_at);
