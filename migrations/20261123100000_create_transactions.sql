-- Payments of all sources, their changes, and the cells that the metrics are answered from.

CREATE TABLE transactions (
    id                  uuid        PRIMARY KEY,
    source              text        NOT NULL CHECK (source IN ('vima', 'payshack')),
    kind                text        NOT NULL CHECK (kind IN ('payin', 'payout')),
    source_id           text        NOT NULL CHECK (source_id <> ''),
    -- How new this telling is: the provider's own count where it keeps one, else the time of the last change.
    version_sequence    numeric(38),
    version_modified_at timestamptz,
    -- 16 bytes over the normalised content: "the same" is one comparison, and an unchanged record is never rewritten.
    content_hash        bytea       NOT NULL,
    replaced_in_place   boolean     NOT NULL DEFAULT false,
    reference_id        text,
    client_operation_id text,
    order_id            text,
    project             text,
    merchant_id         text,
    amount              numeric     NOT NULL,
    paid_amount         numeric,
    currency            text        NOT NULL,
    amount_usd          numeric,
    fee                 numeric,
    fee_usd             numeric,
    exchange_rate       numeric,
    status              text        NOT NULL CHECK (status IN ('success', 'failed', 'pending', 'processing', 'refunded', 'unknown')),
    original_status     text,
    user_id             text,
    user_email          text,
    user_phone          text,
    user_name           text,
    country             text,
    utr                 text,
    payment_method      text,
    payment_product     text,
    created_at          timestamptz NOT NULL,
    updated_at          timestamptz,
    completed_at        timestamptz,
    ingested_at         timestamptz NOT NULL,
    -- The record to the letter. `json` and not `jsonb`: text that is kept, not data that is asked; a \u0000 may stand in it.
    raw_data            json        NOT NULL
);

CREATE UNIQUE INDEX transactions_identity ON transactions (source, kind, source_id);
CREATE INDEX transactions_by_creation ON transactions (created_at, id);
CREATE INDEX transactions_by_client_operation ON transactions (client_operation_id) WHERE source = 'vima';
CREATE INDEX transactions_by_order ON transactions (order_id) WHERE source = 'payshack';

-- What changed of a payment after it was first seen, oldest first.
CREATE TABLE transaction_changes (
    id             bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    transaction_id uuid        NOT NULL REFERENCES transactions (id),
    run_id         uuid,
    changed_at     timestamptz,
    recorded_at    timestamptz NOT NULL,
    old_status     text        NOT NULL,
    new_status     text        NOT NULL,
    old_amount     numeric     NOT NULL,
    new_amount     numeric     NOT NULL
);

CREATE INDEX transaction_changes_by_transaction ON transaction_changes (transaction_id, id);

-- A quarter of an hour of payments that share every dimension. Offsets of all zones are multiples of it, so any zone's day
-- is a sum of cells. An absent dimension is '', for NULLs are never equal in a key.
CREATE TABLE rollup_cells (
    bucket         timestamptz NOT NULL,
    source         text        NOT NULL,
    kind           text        NOT NULL,
    project        text        NOT NULL,
    merchant_id    text        NOT NULL,
    country        text        NOT NULL,
    payment_method text        NOT NULL,
    currency       text        NOT NULL,
    status         text        NOT NULL,
    count          bigint      NOT NULL,
    amount         numeric     NOT NULL,
    amount_usd     numeric     NOT NULL,
    fee            numeric     NOT NULL,
    fee_usd        numeric     NOT NULL,
    usd_missing    bigint      NOT NULL,
    PRIMARY KEY (bucket, source, kind, project, merchant_id, country, payment_method, currency, status)
) WITH (fillfactor = 70);
