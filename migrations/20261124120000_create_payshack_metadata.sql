-- Who takes part at PayShack, and what they hold. A row that PayShack no longer lists stays, and says when it last did.

-- When each list was last read: an unchanged row is not written again to say that it was seen.
CREATE TABLE payshack_lists (
    list    text        PRIMARY KEY CHECK (list IN ('clients', 'resellers', 'service_providers')),
    read_at timestamptz NOT NULL
);

CREATE TABLE payshack_clients (
    client_id       text        PRIMARY KEY CHECK (client_id <> ''),
    name            text,
    email           text,
    status          text,
    is_active       boolean,
    balance         numeric,
    wallet_balance  numeric,
    commission_rate numeric,
    reseller_id     text,
    first_seen_at   timestamptz NOT NULL,
    changed_at      timestamptz NOT NULL,
    -- When it was last listed; null while it is, for then that is when the list was last read.
    last_seen_at    timestamptz
);

CREATE TABLE payshack_resellers (
    reseller_id   text        PRIMARY KEY CHECK (reseller_id <> ''),
    user_id       text,
    name          text,
    email         text,
    role          text,
    status        text,
    is_active     boolean,
    balance       numeric,
    first_seen_at timestamptz NOT NULL,
    changed_at    timestamptz NOT NULL,
    last_seen_at  timestamptz
);

CREATE TABLE payshack_service_providers (
    service_provider_id text        PRIMARY KEY CHECK (service_provider_id <> ''),
    name                text,
    code                text,
    status              text,
    is_active           boolean,
    supports_payin      boolean,
    supports_payout     boolean,
    first_seen_at       timestamptz NOT NULL,
    changed_at          timestamptz NOT NULL,
    last_seen_at        timestamptz
);

-- What clients and resellers held: a row where it changed, else one a UTC day.
CREATE TABLE payshack_balances (
    id           uuid        PRIMARY KEY,
    owner_kind   text        NOT NULL CHECK (owner_kind IN ('client', 'reseller')),
    owner_id     text        NOT NULL,
    balance_kind text        NOT NULL CHECK (balance_kind IN ('balance', 'wallet_balance')),
    amount       numeric     NOT NULL,
    currency     text        NOT NULL,
    recorded_at  timestamptz NOT NULL
);

CREATE INDEX payshack_balances_by_time ON payshack_balances (recorded_at, id);
CREATE INDEX payshack_balances_by_owner ON payshack_balances (owner_kind, owner_id, recorded_at, id);
