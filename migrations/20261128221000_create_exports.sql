-- Files that a job makes. The row says what is wanted, by whom, and what came of it; the bytes are kept where EXPORT_STORE says.
CREATE TABLE exports (
    id           uuid        PRIMARY KEY,
    job_id       uuid        NOT NULL,
    name         text        NOT NULL,
    format       text        NOT NULL,
    wanted       jsonb       NOT NULL,
    requested_by text        NOT NULL,
    -- What whoever asked might see: the file shows it to nobody who may see less.
    role         text        NOT NULL CHECK (role IN ('viewer', 'operator', 'admin')),
    file_name    text        NOT NULL,
    created_at   timestamptz NOT NULL,
    finished_at  timestamptz,
    expires_at   timestamptz,
    rows         bigint,
    bytes        bigint,
    -- The name of the file at its store; null before it is whole, and once it is removed.
    stored_as    text
);

CREATE INDEX exports_by_creation ON exports (created_at);

-- Files that are kept in the database: a mebibyte a row, the last one less.
CREATE TABLE export_pieces (
    file       text        NOT NULL,
    number     integer     NOT NULL,
    bytes      bytea       NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (file, number)
);

-- Workbooks are compressed already, and a part of a piece is read without the rest of it.
ALTER TABLE export_pieces ALTER COLUMN bytes SET STORAGE EXTERNAL;

CREATE INDEX export_pieces_by_creation ON export_pieces (created_at);
