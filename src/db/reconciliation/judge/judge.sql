-- Judges the rows that are not plain (not_plain.sql), writes every result except matches, and counts all payments of the day, the
-- plain ones too (day_groups.sql).
--
-- $1 run  $2 day  $3 window  $4 tolerance  $5 the same in percent  $6 the time as of which everything is judged
-- $7 grace  $8 settle time  $9 Vima's watermark  $10 start of Vima's coverage  $11 PayShack's watermark
-- $12 start of PayShack's coverage

WITH
-- A crowded key has several rows of a side, or rows too far apart.
crowded AS MATERIALIZED (
    SELECT key FROM not_plain WHERE key IS NOT NULL GROUP BY key
    HAVING count(*) FILTER (WHERE is_vima) > 1 OR count(*) FILTER (WHERE NOT is_vima) > 1
        OR max(created_at) - min(created_at) > $3
),
-- A gap longer than the window starts another payment.
gaps AS (
    SELECT not_plain.*, created_at - lag(created_at) OVER (PARTITION BY key ORDER BY created_at, id) > $3 AS begins
      FROM not_plain JOIN crowded USING (key)
),
grouped AS (
    SELECT gaps.*, count(*) FILTER (WHERE begins) OVER (PARTITION BY key ORDER BY created_at, id) AS payment FROM gaps
),
-- The rank of each row on its side: smaller ids first, as numbers or else as text.
ranked AS MATERIALIZED (
    SELECT grouped.*,
           row_number() OVER (
               PARTITION BY key, payment, is_vima
                   ORDER BY CASE WHEN source_id ~ '^[0-9]+$' THEN source_id::numeric END NULLS LAST, source_id COLLATE "C"
           ) AS rank
      FROM grouped
),
-- The best pair of each payment: both a success, then equal amounts, then nearest in time, then the smallest ids. It is the
-- minimum of one comparable value, so that no sort is needed even if many rows share a key.
paired AS (
    SELECT key, payment,
           min(ARRAY[
               CASE WHEN vima.status = 'success' AND payshack.status = 'success' THEN 0 ELSE 1 END,
               CASE WHEN vima.currency = payshack.currency
                     AND abs(vima.amount - payshack.amount) <= GREATEST($4::numeric, abs(vima.amount) * $5::numeric / 100)
                    THEN 0 ELSE 1 END,
               (abs(extract(epoch FROM payshack.created_at - vima.created_at)) * 1000000)::bigint,
               vima.rank, payshack.rank]) AS best
      FROM ranked AS vima JOIN ranked AS payshack USING (key, payment)
     WHERE vima.is_vima AND NOT payshack.is_vima
       AND payshack.created_at - vima.created_at BETWEEN - $3::interval AND $3::interval
     GROUP BY key, payment
),
chosen AS (
    SELECT ranked.*,
           CASE WHEN best IS NULL
                THEN row_number() OVER (PARTITION BY key, payment ORDER BY status <> 'success', rank) = 1
                WHEN is_vima THEN rank = best[4]
                ELSE rank = best[5] END AS kept
      FROM ranked LEFT JOIN paired USING (key, payment)
),
-- A payment belongs to the day of its Vima row, or of its only row.
dated AS (
    SELECT chosen.*,
           COALESCE(bool_or(in_day) FILTER (WHERE kept AND is_vima) OVER of_payment,
                    bool_or(in_day) FILTER (WHERE kept) OVER of_payment) AS of_day,
           (array_agg(source_id) FILTER (WHERE kept) OVER of_payment) AS kept_ids
      FROM chosen WINDOW of_payment AS (PARTITION BY key, payment)
),
-- The number of the payment among those of the day with the same key, which identifies its discrepancy in later runs.
numbered AS MATERIALIZED (
    SELECT dated.*, dense_rank() OVER (PARTITION BY key, of_day ORDER BY payment)::integer AS occurrence FROM dated
),
kept AS MATERIALIZED (
    SELECT id, is_vima, source_id, project, key, amount, is_paid, currency, status, created_at, changed_at, in_day,
           0::bigint AS payment, 1 AS occurrence
      FROM not_plain WHERE key IS NOT NULL AND NOT EXISTS (SELECT FROM crowded WHERE crowded.key = not_plain.key)
     UNION ALL
    SELECT id, is_vima, source_id, project, key, amount, is_paid, currency, status, created_at, changed_at, in_day,
           payment, occurrence
      FROM numbered WHERE kept
),
payments AS (
    SELECT COALESCE(vima.key, payshack.key) AS key, COALESCE(vima.occurrence, payshack.occurrence) AS occurrence,
           COALESCE(vima.project, payshack.project) AS project,
           vima.id AS vima_id, vima.amount AS vima_amount, vima.currency AS vima_currency, vima.status AS vima_status,
           vima.created_at AS vima_created_at, vima.changed_at AS vima_changed_at,
           payshack.id AS payshack_id, payshack.amount AS payshack_amount, payshack.currency AS payshack_currency,
           payshack.status AS payshack_status, payshack.created_at AS payshack_created_at,
           payshack.changed_at AS payshack_changed_at, payshack.is_paid,
           vima.id IS NOT NULL AND payshack.id IS NOT NULL AS is_pair,
           GREATEST($4::numeric, abs(vima.amount) * $5::numeric / 100) AS tolerance,
           COALESCE(vima.in_day, payshack.in_day) AS of_day, COALESCE(payshack.in_day, false) AS payshack_in_day
      FROM (SELECT * FROM kept WHERE is_vima) AS vima
           FULL JOIN (SELECT * FROM kept WHERE NOT is_vima) AS payshack
           ON vima.key = payshack.key AND vima.payment = payshack.payment
     WHERE vima.in_day OR payshack.in_day
),
compared AS (
    SELECT payments.*,
           vima_currency = payshack_currency
               AND abs(vima_amount - payshack_amount) <= tolerance AS amounts_agree,
           vima_status = payshack_status
               OR (vima_status IN ('pending', 'processing') AND payshack_status IN ('pending', 'processing')) AS statuses_agree,
           -- One side may not know yet the final status that the other one has.
           $6::timestamptz - GREATEST(vima_changed_at, payshack_changed_at) < $7::interval
               AND ((vima_status IN ('pending', 'processing') AND payshack_status IN ('success', 'failed', 'refunded'))
                 OR (payshack_status IN ('pending', 'processing') AND vima_status IN ('success', 'failed', 'refunded'))) AS is_late,
           -- Whether the absent side would have sent its row by now.
           CASE WHEN payshack_id IS NULL THEN $11::timestamptz >= vima_created_at + $8::interval
                                          AND $12::timestamptz <= vima_created_at
                ELSE $9::timestamptz >= payshack_created_at + $8::interval
                     AND $10::timestamptz <= payshack_created_at END AS is_settled
      FROM payments
),
judged AS MATERIALIZED (
    SELECT compared.*,
           CASE WHEN is_pair THEN CASE WHEN is_late THEN 'pending'
                                       WHEN amounts_agree AND statuses_agree THEN 'matched'
                                       ELSE 'discrepancy' END
                WHEN is_settled THEN CASE WHEN vima_id IS NULL THEN 'missing_vima' ELSE 'missing_payshack' END
                ELSE 'pending' END AS match_status
      FROM compared
),
-- Rows that are no payment of their own: duplicates, and rows without a key.
extra AS (
    SELECT id, is_vima, project, key, amount, currency, status, 'duplicate' AS match_status, '{duplicate}'::text[] AS types,
           json_build_object(
               'as_of', $6::timestamptz, 'source_id', source_id, 'kept_source_ids', kept_ids,
               'versions', json_build_object(CASE WHEN is_vima THEN 'vima' ELSE 'payshack' END,
                                             json_build_object('created_at', created_at, 'changed_at', changed_at))) AS details
      FROM numbered WHERE NOT kept AND in_day
     UNION ALL
    SELECT id, is_vima, project, key, amount, currency, status, 'unmatchable', '{}',
           json_build_object(
               'as_of', $6::timestamptz, 'source_id', source_id,
               'blank', CASE WHEN is_vima THEN 'client_operation_id' ELSE 'order_id' END)
      FROM not_plain WHERE key IS NULL
),
found AS (
    SELECT key, occurrence, match_status,
           CASE match_status WHEN 'discrepancy' THEN array_remove(ARRAY[CASE WHEN NOT amounts_agree THEN 'amount' END,
                                                                        CASE WHEN NOT statuses_agree THEN 'status' END], NULL)
                             WHEN 'pending' THEN '{}'
                             ELSE '{missing}' END AS types,
           project, vima_id, payshack_id, vima_amount, payshack_amount,
           CASE WHEN vima_currency = payshack_currency THEN vima_amount - payshack_amount END AS amount_diff,
           vima_currency, payshack_currency, vima_status, payshack_status,
           CASE WHEN is_pair THEN json_build_object(
               'as_of', $6::timestamptz,
               'amount', json_build_object(
                   'agrees', amounts_agree, 'vima', trim_scale(vima_amount)::text, 'payshack', trim_scale(payshack_amount)::text,
                   'payshack_field', CASE WHEN is_paid THEN 'paid_amount' ELSE 'amount' END,
                   'currencies_agree', vima_currency = payshack_currency,
                   'tolerance', trim_scale(tolerance)::text),
               'status', json_build_object(
                   'agrees', statuses_agree, 'vima', vima_status, 'payshack', payshack_status, 'may_be_late', is_late,
                   'late_until', GREATEST(vima_changed_at, payshack_changed_at) + $7::interval),
               'versions', json_build_object(
                   'vima', json_build_object('created_at', vima_created_at, 'changed_at', vima_changed_at),
                   'payshack', json_build_object('created_at', payshack_created_at, 'changed_at', payshack_changed_at)))
           ELSE json_build_object(
               'as_of', $6::timestamptz,
               'absent', json_build_object(
                   'side', CASE WHEN vima_id IS NULL THEN 'vima' ELSE 'payshack' END,
                   'settled', COALESCE(is_settled, false),
                   'settles_at', COALESCE(vima_created_at, payshack_created_at) + $8::interval,
                   'watermark', CASE WHEN vima_id IS NULL THEN $9::timestamptz ELSE $11::timestamptz END,
                   'covered_from', CASE WHEN vima_id IS NULL THEN $10::timestamptz ELSE $12::timestamptz END),
               'versions', json_build_object(
                   CASE WHEN vima_id IS NULL THEN 'payshack' ELSE 'vima' END,
                   json_build_object('created_at', COALESCE(vima_created_at, payshack_created_at),
                                      'changed_at', COALESCE(vima_changed_at, payshack_changed_at))))
           END AS details
      FROM judged WHERE of_day AND match_status <> 'matched'
     UNION ALL
    SELECT key, 1, match_status, types, project, CASE WHEN is_vima THEN id END, CASE WHEN NOT is_vima THEN id END,
           CASE WHEN is_vima THEN amount END, CASE WHEN NOT is_vima THEN amount END, NULL,
           CASE WHEN is_vima THEN currency END, CASE WHEN NOT is_vima THEN currency END,
           CASE WHEN is_vima THEN status END, CASE WHEN NOT is_vima THEN status END, details
      FROM extra
),
written AS (
    INSERT INTO reconciliation_results (
        run_id, recon_date, key, occurrence, match_status, types, project, vima_txn_id, payshack_txn_id, vima_amount,
        payshack_amount, amount_diff, vima_currency, payshack_currency, vima_status, payshack_status, details)
    SELECT $1::uuid, $2::date, key, occurrence, match_status, types, project, vima_id, payshack_id, vima_amount,
           payshack_amount, amount_diff, vima_currency, payshack_currency, vima_status, payshack_status,
           -- The time format of the API.
           replace(details::text, '+00:00"', 'Z"')::jsonb
      FROM found
    RETURNING match_status, types, vima_txn_id, payshack_txn_id, vima_amount, payshack_amount, amount_diff, vima_currency,
              payshack_currency
),
-- Plain groups whose keys have more rows: day_groups has counted them, but they are judged here.
counted_twice AS (
    SELECT currency, count(*) AS payments, sum(amount) AS amount
      FROM (SELECT amount, currency FROM not_plain WHERE in_day AND key IS NOT NULL GROUP BY key, amount, currency, status
            HAVING count(*) = 2 AND count(*) FILTER (WHERE is_vima) = 1 AND max(created_at) - min(created_at) <= $3) AS plain
     GROUP BY currency
),
-- Matched payments, plain or not; and PayShack's rows whose Vima row is of another day, or that belong to a Vima row of this day
-- (moved_in).
matched AS (
    SELECT currency, sum(payments)::bigint AS payments, sum(amount) AS amount, sum(moved_in)::bigint AS moved_in
      FROM (SELECT currency, vima_rows AS payments, amount, 0 AS moved_in FROM day_groups WHERE is_plain
             UNION ALL
            SELECT currency, -payments, -amount, 0 FROM counted_twice
             UNION ALL
            SELECT vima_currency, count(*) FILTER (WHERE of_day AND match_status = 'matched'),
                   sum(vima_amount) FILTER (WHERE of_day AND match_status = 'matched'),
                   count(*) FILTER (WHERE of_day AND is_pair AND NOT payshack_in_day)
                       - count(*) FILTER (WHERE NOT of_day AND payshack_in_day)
              FROM judged GROUP BY vima_currency) AS by_currency
     GROUP BY currency
),
-- The number of rows of the day, independent of their results.
population AS (
    SELECT COALESCE(sum(vima_rows), 0)::bigint AS vima, COALESCE(sum(payshack_rows), 0)::bigint AS payshack FROM day_groups
)
-- The sums of the written results, of the matched payments, and of the rows of the day.
SELECT match_status AS match_status, types[1] AS type, COALESCE(vima_currency, payshack_currency) AS currency,
       count(*) AS count, count(vima_txn_id) AS vima_rows, count(payshack_txn_id) AS payshack_rows,
       -- The amount at risk: the difference if only the amounts differ, otherwise the whole amount.
       COALESCE(sum(CASE WHEN types = '{amount}' AND amount_diff IS NOT NULL THEN abs(amount_diff)
                         ELSE COALESCE(vima_amount, payshack_amount) END), 0) AS amount
  FROM written GROUP BY 1, 2, 3
 UNION ALL
SELECT 'matched', NULL, currency, payments, payments, payments, amount FROM matched WHERE payments > 0
 UNION ALL
SELECT 'population', NULL, '', 0, vima, payshack + (SELECT COALESCE(sum(moved_in), 0) FROM matched)::bigint, 0 FROM population
