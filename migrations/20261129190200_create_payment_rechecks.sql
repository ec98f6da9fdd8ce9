-- When PayShack's old payments that are still open are requested again: pay-ins by their id, pay-outs by their day. Rows of
-- payments that are no longer open, or too old, are deleted.
CREATE TABLE payment_rechecks (
    kind     text        NOT NULL,
    -- The id of a pay-in, or the day of pay-outs.
    item     text        NOT NULL,
    next_at  timestamptz NOT NULL,
    -- How often in a row the request failed, or PayShack did not know the payment.
    failures integer     NOT NULL,
    PRIMARY KEY (kind, item)
);

-- How many open payments PayShack no longer knew.
ALTER TABLE sync_runs ADD COLUMN not_found bigint NOT NULL DEFAULT 0;
