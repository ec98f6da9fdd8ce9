-- Which sync runs stored the first and the current version of a payment, for explanations.

ALTER TABLE transactions
    -- Null: an older release stored it, or a replay of the quarantine.
    ADD COLUMN first_run_id   uuid,
    -- Null until another version replaces the first one.
    ADD COLUMN last_run_id    uuid,
    ADD COLUMN last_stored_at timestamptz;
