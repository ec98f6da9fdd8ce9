-- What all processes share about a provider: its session, its login lock, the last refused login, and its rate limit.

-- The session of an account: a digest of its address and credentials.
CREATE TABLE provider_sessions (
    account    text        PRIMARY KEY,
    session    json        NOT NULL,
    expires_at timestamptz NOT NULL
);

-- The process that logs in has the mark. Its lease ends if it dies.
CREATE TABLE login_locks (
    account    text        PRIMARY KEY,
    mark       text        NOT NULL,
    expires_at timestamptz NOT NULL
);

CREATE TABLE refused_logins (
    account text        PRIMARY KEY,
    until   timestamptz NOT NULL,
    message text        NOT NULL
);

-- When the next request may be sent. Not logged: after a crash of the server the limit starts again.
CREATE UNLOGGED TABLE request_slots (
    provider text        PRIMARY KEY,
    next_at  timestamptz NOT NULL
);
