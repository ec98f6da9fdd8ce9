-- Whole days of cells in one value, so that a metric reads a few rows per day instead of hundreds. Only a copy: the cells of the
-- payments stay the truth, and a packed day counts only until the next commit that changes payments of the day.

-- The version of the source (`payment_versions`) at which the day was packed. It is current while neither the day
-- (`payment_day_versions`) nor a commit that did not record its days has a newer version.
CREATE TABLE packed_days (
    source  text     NOT NULL,
    day     date     NOT NULL,
    version bigint   NOT NULL,
    -- Releases with another format do not read the day.
    format  smallint NOT NULL,
    PRIMARY KEY (source, day)
);

-- Of width 'day': the sums of the day of every project and member of the facet, with project and member ''. Of width 'quarter':
-- the quarters of an hour of one project and member. `domain/metrics/packed_cells` defines the format.
CREATE TABLE packed_cells (
    facet   text  COLLATE "C" NOT NULL,
    width   text  COLLATE "C" NOT NULL,
    day     date  NOT NULL,
    source  text  COLLATE "C" NOT NULL,
    project text  COLLATE "C" NOT NULL,
    member  text  COLLATE "C" NOT NULL,
    cells   bytea NOT NULL,
    PRIMARY KEY (facet, width, day, source, project, member)
-- Values of up to 8 kB stay in their row, which saves the lookup elsewhere.
) WITH (toast_tuple_target = 8160);

-- Decompressing would take longer than reading.
ALTER TABLE packed_cells ALTER COLUMN cells SET STORAGE EXTERNAL;
