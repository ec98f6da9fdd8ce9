-- How many rows each key has exported on each day (UTC).
CREATE TABLE exported_rows (
    key_id uuid NOT NULL,
    day date NOT NULL,
    rows bigint NOT NULL CHECK (rows >= 0),
    PRIMARY KEY (day, key_id)
);
