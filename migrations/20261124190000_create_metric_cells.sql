-- What the metrics are answered from, at every width and by every dimension they are asked by. It takes the place of
-- rollup_cells, which knew one width and all dimensions at once: at ten million payments that was nearly a cell for each
-- payment. A later release drops rollup_cells; a web process of the release before sees it stand still while it lives.

-- The payments of a source that share a stretch of time, a kind, a currency, a status and what their facet tells apart:
--   all, project, country, payment_method, amount_band: nothing, the project, and so on;
--   merchant, project_country, project_payment_method: the project and the member.
-- What a facet does not tell apart, and what a payment does not say, is ''. Text is compared byte by byte, which costs least.
CREATE TABLE metric_cells (
    facet       text        COLLATE "C" NOT NULL,
    width       text        COLLATE "C" NOT NULL CHECK (width IN ('quarter', 'hour', 'day')),
    project     text        COLLATE "C" NOT NULL,
    member      text        COLLATE "C" NOT NULL,
    bucket      timestamptz NOT NULL,
    source      text        COLLATE "C" NOT NULL,
    kind        text        COLLATE "C" NOT NULL,
    currency    text        COLLATE "C" NOT NULL,
    status      text        COLLATE "C" NOT NULL,
    count       bigint      NOT NULL,
    amount      numeric     NOT NULL,
    amount_usd  numeric     NOT NULL,
    fee         numeric     NOT NULL,
    fee_usd     numeric     NOT NULL,
    usd_missing bigint      NOT NULL,
    PRIMARY KEY (facet, width, project, member, bucket, source, kind, currency, status)
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05);

-- Grows with every commit that wrote payments of the source: an answer that was given at the same versions still holds.
CREATE TABLE payment_versions (
    source  text   PRIMARY KEY,
    version bigint NOT NULL
);

INSERT INTO payment_versions (source, version) VALUES ('vima', 0), ('payshack', 0);

-- What the cells of a source must be for payments created in whole days of UTC, counted from the payments: what the cells are
-- filled with, checked against, and mended by. `domain/metrics` says the same of one payment.
CREATE FUNCTION count_metric_cells(of_source text, since timestamptz, before timestamptz) RETURNS SETOF metric_cells
-- A day of a million payments is gathered in memory.
LANGUAGE sql STABLE SET work_mem = '128MB' AS $$
    WITH quarters AS MATERIALIZED (
        SELECT date_bin('15 minutes', created_at, 'epoch') AS quarter, kind, COALESCE(project, '') AS project,
               COALESCE(merchant_id, '') AS merchant_id, COALESCE(country, '') AS country,
               COALESCE(payment_method, '') AS payment_method,
               width_bucket(amount, '{100,500,1000,5000,10000,50000,100000}'::numeric[])::text AS amount_band,
               currency, status, count(*) AS count, sum(amount) AS amount, COALESCE(sum(amount_usd), 0) AS amount_usd,
               COALESCE(sum(fee), 0) AS fee, COALESCE(sum(fee_usd), 0) AS fee_usd,
               count(*) FILTER (WHERE amount_usd IS NULL) AS usd_missing
          FROM transactions
         WHERE source = of_source AND created_at >= since AND created_at < before
         GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9)
    SELECT place.facet, place.width, place.project, place.member, date_bin(place.length, quarter, 'epoch'), of_source, kind,
           currency, status, sum(count)::bigint, sum(amount), sum(amount_usd), sum(fee), sum(fee_usd),
           sum(usd_missing)::bigint
      FROM quarters
           CROSS JOIN LATERAL (
               SELECT facet, width, facets.project, member, length
                 FROM (VALUES ('all', 1, '', ''),
                              ('project', 1, quarters.project, ''),
                              ('amount_band', 1, '', amount_band),
                              ('merchant', 2, quarters.project, merchant_id),
                              ('country', 2, '', country),
                              ('payment_method', 2, '', payment_method),
                              ('project_country', 3, quarters.project, country),
                              ('project_payment_method', 3, quarters.project, payment_method))
                          AS facets (facet, finest, project, member)
                      JOIN (VALUES (1, 'quarter', interval '15 minutes'), (2, 'hour', interval '1 hour'),
                                   (3, 'day', interval '1 day')) AS widths (rank, width, length) ON rank >= finest) AS place
     GROUP BY 1, 2, 3, 4, 5, kind, currency, status
     ORDER BY 1, 2, 3, 4, 5, kind, currency, status
$$;

-- Those cells of a source in whole days of UTC that are not what they must be, as they must be. They are found series by series,
-- for no index begins with the time: it would have to be kept with every payment, and nothing else asks for it.
CREATE FUNCTION odd_metric_cells(of_source text, since timestamptz, before timestamptz) RETURNS SETOF metric_cells
LANGUAGE sql STABLE AS $$
    WITH RECURSIVE series AS (
        (SELECT facet, width, project, member FROM metric_cells ORDER BY 1, 2, 3, 4 LIMIT 1)
        UNION ALL
        SELECT following.*
          FROM series
               CROSS JOIN LATERAL (
                   SELECT facet, width, project, member FROM metric_cells AS cells
                    WHERE (cells.facet, cells.width, cells.project, cells.member)
                        > (series.facet, series.width, series.project, series.member)
                    ORDER BY 1, 2, 3, 4 LIMIT 1) AS following),
    stored AS MATERIALIZED (
        SELECT cells.*
          FROM series
               CROSS JOIN LATERAL (
                   SELECT * FROM metric_cells AS cells
                    WHERE cells.facet = series.facet AND cells.width = series.width AND cells.project = series.project
                      AND cells.member = series.member AND bucket >= since AND bucket < before
                      AND source = of_source) AS cells),
    counted AS MATERIALIZED (SELECT * FROM count_metric_cells(of_source, since, before))
    SELECT facet, width, project, member, bucket, source, kind, currency, status, COALESCE(counted.count, 0),
           COALESCE(counted.amount, 0), COALESCE(counted.amount_usd, 0), COALESCE(counted.fee, 0),
           COALESCE(counted.fee_usd, 0), COALESCE(counted.usd_missing, 0)
      FROM counted FULL JOIN stored USING (facet, width, project, member, bucket, source, kind, currency, status)
     WHERE (COALESCE(counted.count, 0), COALESCE(counted.amount, 0), COALESCE(counted.amount_usd, 0),
            COALESCE(counted.fee, 0), COALESCE(counted.fee_usd, 0), COALESCE(counted.usd_missing, 0))
        <> (COALESCE(stored.count, 0), COALESCE(stored.amount, 0), COALESCE(stored.amount_usd, 0),
            COALESCE(stored.fee, 0), COALESCE(stored.fee_usd, 0), COALESCE(stored.usd_missing, 0))
$$;

INSERT INTO metric_cells
SELECT cells.*
  FROM (SELECT DISTINCT source, date_bin('1 day', created_at, 'epoch') AS day FROM transactions) AS days
       CROSS JOIN LATERAL count_metric_cells(source, day, day + interval '1 day') AS cells;

-- What processes of the release before store from now on until they are gone is not in the cells: soon after, they are mended.
INSERT INTO jobs (id, kind, args, queue, priority, state, trigger, unique_key, limit_key, due_at, max_attempts, created_at)
SELECT gen_random_uuid(), 'rebuild-rollups', '{}', 'maintenance', 5, 'scheduled', 'schedule', '{}', 'rebuild-rollups',
       now() + interval '15 minutes', 6, now()
 WHERE EXISTS (SELECT FROM transactions);
