-- Exchange rates as we fetched them, and which of them a payment is valued by.

CREATE TABLE exchange_rates (
    currency   text        NOT NULL,
    -- When we fetched it, by our own clock; what a feed says of its time is not kept.
    fetched_at timestamptz NOT NULL,
    -- US dollars for one unit.
    usd        numeric     NOT NULL CHECK (usd > 0),
    PRIMARY KEY (currency, fetched_at)
);
-- For forgetting the old ones, which lie together.
CREATE INDEX exchange_rates_by_time ON exchange_rates USING brin (fetched_at);

ALTER TABLE transactions
    -- Whose word `exchange_rate` is: 'record', or 'stored' for one of ours. Where there is a rate and this is NULL, a process
    -- of before wrote the row, which knew no rate but the record's: it reads as 'record'. A later release fills it in.
    ADD COLUMN rate_origin text,
    -- When a stored rate was fetched.
    ADD COLUMN rate_at     timestamptz,
    -- Not validated, for that would read the whole table while nobody may; every row of before has NULL.
    ADD CONSTRAINT transactions_rate_origin_check
        CHECK (rate_origin IN ('record', 'stored') AND (rate_origin = 'stored') = (rate_at IS NOT NULL)) NOT VALID;
