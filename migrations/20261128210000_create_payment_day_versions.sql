-- Which days of UTC the commits wrote payments of, by the version of their source that the last one raised: an answer of other
-- days still holds. `db/freshness` says how it is read.
CREATE TABLE payment_day_versions (
    source  text   NOT NULL,
    day     date   NOT NULL,
    version bigint NOT NULL,
    PRIMARY KEY (source, day)
);

CREATE INDEX payment_day_versions_by_version ON payment_day_versions (source, version);

-- The last version whose days are told, and the last one that is known to have some that are not: a process of the release
-- before raises versions and tells of no day.
ALTER TABLE payment_versions ADD COLUMN told bigint NOT NULL DEFAULT 0;
ALTER TABLE payment_versions ADD COLUMN untold bigint NOT NULL DEFAULT 0;
