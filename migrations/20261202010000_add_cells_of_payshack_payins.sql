-- Cells of PayShack's pay-ins by project: what `count=payments` subtracts, because Vima reports the same payments. All facets that
-- do not tell projects apart have a counterpart here, with cells of the same widths. Which projects are subtracted is decided by
-- a query and not stored, so that the setting can change.

-- As before, and the facets that begin with payshack_.
CREATE OR REPLACE FUNCTION count_metric_cells(of_source text, since timestamptz, before timestamptz) RETURNS SETOF metric_cells
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
                 FROM (VALUES ('all', 1, false, '', ''),
                              ('project', 1, false, quarters.project, ''),
                              ('amount_band', 1, false, '', amount_band),
                              ('merchant', 2, false, quarters.project, merchant_id),
                              ('country', 2, false, '', country),
                              ('payment_method', 2, false, '', payment_method),
                              ('project_country', 3, false, quarters.project, country),
                              ('project_payment_method', 3, false, quarters.project, payment_method),
                              ('payshack_project', 1, true, quarters.project, ''),
                              ('payshack_amount_band', 1, true, quarters.project, amount_band),
                              ('payshack_country', 2, true, quarters.project, country),
                              ('payshack_payment_method', 2, true, quarters.project, payment_method))
                          AS facets (facet, finest, only_payshack_payins, project, member)
                      JOIN (VALUES (1, 'quarter', interval '15 minutes'), (2, 'hour', interval '1 hour'),
                                   (3, 'day', interval '1 day')) AS widths (rank, width, length) ON rank >= finest
                WHERE NOT only_payshack_payins OR (of_source = 'payshack' AND kind = 'payin')) AS place
     GROUP BY 1, 2, 3, 4, 5, kind, currency, status
     ORDER BY 1, 2, 3, 4, 5, kind, currency, status
$$;

-- The cells of the stored payments, counted once and added to the widths of each facet.
WITH quarters AS MATERIALIZED (
    SELECT date_bin('15 minutes', created_at, 'epoch') AS quarter, COALESCE(project, '') AS project,
           COALESCE(country, '') AS country, COALESCE(payment_method, '') AS payment_method,
           width_bucket(amount, '{100,500,1000,5000,10000,50000,100000}'::numeric[])::text AS amount_band,
           currency, status, count(*) AS count, sum(amount) AS amount, COALESCE(sum(amount_usd), 0) AS amount_usd,
           COALESCE(sum(fee), 0) AS fee, COALESCE(sum(fee_usd), 0) AS fee_usd,
           count(*) FILTER (WHERE amount_usd IS NULL) AS usd_missing
      FROM transactions
     WHERE source = 'payshack' AND kind = 'payin'
     GROUP BY 1, 2, 3, 4, 5, 6, 7)
INSERT INTO metric_cells
SELECT place.facet, place.width, project, place.member, date_bin(place.length, quarter, 'epoch'), 'payshack', 'payin',
       currency, status, sum(count)::bigint, sum(amount), sum(amount_usd), sum(fee), sum(fee_usd), sum(usd_missing)::bigint
  FROM quarters
       CROSS JOIN LATERAL (
           SELECT facet, width, member, length
             FROM (VALUES ('payshack_project', 1, ''), ('payshack_amount_band', 1, amount_band),
                          ('payshack_country', 2, country), ('payshack_payment_method', 2, payment_method))
                      AS facets (facet, finest, member)
                  JOIN (VALUES (1, 'quarter', interval '15 minutes'), (2, 'hour', interval '1 hour'),
                               (3, 'day', interval '1 day')) AS widths (rank, width, length) ON rank >= finest) AS place
 GROUP BY 1, 2, 3, 4, 5, currency, status;

-- Processes of the previous release do not write these cells. Soon after they are gone, the cells are compared and repaired. Forced,
-- because an earlier migration of the same upgrade may have enqueued the same job, which runs too early.
INSERT INTO jobs (id, kind, args, queue, priority, state, trigger, unique_key, forced, limit_key, due_at, max_attempts,
                  created_at)
SELECT gen_random_uuid(), 'rebuild-rollups', '{}', 'maintenance', 10, 'scheduled', 'schedule', '{}', true, 'rebuild-rollups',
       now() + interval '15 minutes', 6, now()
 WHERE EXISTS (SELECT FROM transactions);
