-- Judges a day: writes down everything that is not simply matched, and tells how many there are of each.
--
-- $1 run  $2 day  $3, $4 its instants  $5 window  $6 projects (null: all)  $7 tolerance  $8 the same in percent
-- $9 the one time at which everything is judged  $10 grace  $11 settle time
-- $12 Vima's watermark  $13 Vima is covered from  $14 PayShack's watermark  $15 PayShack is covered from

WITH
rows AS NOT MATERIALIZED (
    SELECT id, source = 'vima' AS is_vima, source_id, project,
           -- Keys are stored without blanks around them (providers/field).
           NULLIF(CASE source WHEN 'vima' THEN client_operation_id ELSE order_id END, '') AS key,
           -- What PayShack says was paid of a success, else what was asked for.
           CASE WHEN source = 'payshack' AND status = 'success' THEN COALESCE(paid_amount, amount) ELSE amount END AS amount,
           source = 'payshack' AND status = 'success' AND paid_amount IS NOT NULL AS is_paid,
           currency, status, created_at, COALESCE(updated_at, created_at) AS changed_at
      FROM transactions
     WHERE source IN ('vima', 'payshack') AND kind = 'payin' AND ($6::text[] IS NULL OR project = ANY ($6))
),
day AS MATERIALIZED (
    SELECT *, true AS today FROM rows WHERE created_at >= $3::timestamptz AND created_at < $4::timestamptz
),
-- Of two windows around the day, what bears a key of the day.
around AS MATERIALIZED (
    SELECT *, false AS today FROM rows
     WHERE ((created_at >= $3::timestamptz - 2 * $5::interval AND created_at < $3)
            OR (created_at >= $4 AND created_at < $4::timestamptz + 2 * $5::interval))
       AND EXISTS (SELECT FROM day WHERE day.key = rows.key)
),
span AS NOT MATERIALIZED (
    TABLE day UNION ALL TABLE around
),
-- What each key of the day is like. Most are plain: one row of each side, within the window, that say the very same. They are
-- counted here, and nothing more is done about them.
keys AS MATERIALIZED (
    SELECT CASE WHEN NOT is_plain THEN key END AS key, is_plain, is_crowded, of_day, payshack_today, amount, said
      FROM (SELECT key, count(*) = 2 AND count(*) FILTER (WHERE is_vima) = 1 AND min(amount) = max(amount)
                        AND min(said) = max(said) AND max(created_at) - min(created_at) <= $5 AS is_plain,
                   count(*) FILTER (WHERE is_vima) > 1 OR count(*) - count(*) FILTER (WHERE is_vima) > 1
                        OR max(created_at) - min(created_at) > $5 AS is_crowded,
                   bool_or(today AND is_vima) AS of_day, bool_or(today AND NOT is_vima) AS payshack_today,
                   min(amount) AS amount, min(said) AS said
              FROM (SELECT span.*, (currency || ' ' || status) COLLATE "C" AS said FROM span WHERE key IS NOT NULL) AS span
             GROUP BY key) AS known
),
-- The rows of all other keys.
doubtful AS MATERIALIZED (
    SELECT span.*, is_crowded FROM span JOIN keys USING (key)
),
-- A crowded key has several rows of a side, or rows too far apart: a gap longer than the window begins another payment.
gaps AS (
    SELECT doubtful.*, created_at - lag(created_at) OVER (PARTITION BY key ORDER BY created_at, id) > $5 AS begins
      FROM doubtful WHERE is_crowded
),
grouped AS (
    SELECT gaps.*, count(*) FILTER (WHERE begins) OVER (PARTITION BY key ORDER BY created_at, id) AS payment FROM gaps
),
-- Each row's place among those of its side: smaller ids first, as numbers or, failing that, as text.
placed AS MATERIALIZED (
    SELECT grouped.*,
           row_number() OVER (
               PARTITION BY key, payment, is_vima
                   ORDER BY CASE WHEN source_id ~ '^[0-9]+$' THEN source_id::numeric END NULLS LAST, source_id COLLATE "C"
           ) AS place
      FROM grouped
),
-- Of all pairs of a payment the best: both a success, then equal amounts, then nearest in time, then the smallest ids. As
-- one value that can be compared, so that nothing has to be sorted however many rows share a key.
paired AS (
    SELECT key, payment,
           min(ARRAY[
               CASE WHEN vima.status = 'success' AND payshack.status = 'success' THEN 0 ELSE 1 END,
               CASE WHEN vima.currency = payshack.currency
                     AND abs(vima.amount - payshack.amount) <= GREATEST($7::numeric, abs(vima.amount) * $8::numeric / 100)
                    THEN 0 ELSE 1 END,
               (abs(extract(epoch FROM payshack.created_at - vima.created_at)) * 1000000)::bigint,
               vima.place, payshack.place]) AS best
      FROM placed AS vima JOIN placed AS payshack USING (key, payment)
     WHERE vima.is_vima AND NOT payshack.is_vima
       AND payshack.created_at - vima.created_at BETWEEN - $5::interval AND $5::interval
     GROUP BY key, payment
),
chosen AS (
    SELECT placed.*,
           CASE WHEN best IS NULL
                THEN row_number() OVER (PARTITION BY key, payment ORDER BY status <> 'success', place) = 1
                WHEN is_vima THEN place = best[4]
                ELSE place = best[5] END AS kept
      FROM placed LEFT JOIN paired USING (key, payment)
),
-- A payment belongs to the day of its Vima row, or of its only one.
dated AS (
    SELECT chosen.*,
           COALESCE(bool_or(today) FILTER (WHERE kept AND is_vima) OVER of_payment,
                    bool_or(today) FILTER (WHERE kept) OVER of_payment) AS of_day,
           (array_agg(source_id) FILTER (WHERE kept) OVER of_payment) AS kept_ids
      FROM chosen WINDOW of_payment AS (PARTITION BY key, payment)
),
-- The how-manieth payment of the day under its key it is: by that a case is known again.
numbered AS MATERIALIZED (
    SELECT dated.*, dense_rank() OVER (PARTITION BY key, of_day ORDER BY payment)::integer AS occurrence FROM dated
),
kept AS MATERIALIZED (
    SELECT id, is_vima, source_id, project, key, amount, is_paid, currency, status, created_at, changed_at, today,
           0::bigint AS payment, 1 AS occurrence
      FROM doubtful WHERE NOT is_crowded
     UNION ALL
    SELECT id, is_vima, source_id, project, key, amount, is_paid, currency, status, created_at, changed_at, today,
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
           GREATEST($7::numeric, abs(vima.amount) * $8::numeric / 100) AS tolerance,
           COALESCE(vima.today, payshack.today) AS of_day, COALESCE(payshack.today, false) AS payshack_today
      FROM (SELECT * FROM kept WHERE is_vima) AS vima
           FULL JOIN (SELECT * FROM kept WHERE NOT is_vima) AS payshack
           ON vima.key = payshack.key AND vima.payment = payshack.payment
     WHERE vima.today OR payshack.today
),
compared AS (
    SELECT payments.*,
           vima_currency = payshack_currency
               AND abs(vima_amount - payshack_amount) <= tolerance AS amounts_agree,
           vima_status = payshack_status
               OR (vima_status IN ('pending', 'processing') AND payshack_status IN ('pending', 'processing')) AS statuses_agree,
           -- One side may not have heard yet of the end that the other tells.
           $9::timestamptz - GREATEST(vima_changed_at, payshack_changed_at) < $10::interval
               AND ((vima_status IN ('pending', 'processing') AND payshack_status IN ('success', 'failed', 'refunded'))
                 OR (payshack_status IN ('pending', 'processing') AND vima_status IN ('success', 'failed', 'refunded'))) AS is_late,
           -- Had the absent side known of it, it would be here by now.
           CASE WHEN payshack_id IS NULL THEN $14::timestamptz >= vima_created_at + $11::interval
                                          AND $15::timestamptz <= vima_created_at
                ELSE $12::timestamptz >= payshack_created_at + $11::interval
                     AND $13::timestamptz <= payshack_created_at END AS is_settled
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
-- What the rows of the day are, counted apart from all that is said of them.
population AS (
    SELECT count(*) FILTER (WHERE is_vima) AS vima, count(*) FILTER (WHERE NOT is_vima) AS payshack,
           count(*) FILTER (WHERE key IS NULL) AS without_key
      FROM day
),
-- Rows that stand for no payment: one too many, or without a key.
odd AS (
    SELECT id, is_vima, project, key, amount, currency, status, 'duplicate' AS match_status, '{duplicate}'::text[] AS types,
           json_build_object(
               'as_of', $9::timestamptz, 'source_id', source_id, 'kept_source_ids', kept_ids,
               'versions', json_build_object(CASE WHEN is_vima THEN 'vima' ELSE 'payshack' END,
                                             json_build_object('created_at', created_at, 'changed_at', changed_at))) AS details
      FROM numbered WHERE NOT kept AND today
     UNION ALL
    SELECT id, is_vima, project, key, amount, currency, status, 'unmatchable', '{}',
           json_build_object(
               'as_of', $9::timestamptz, 'source_id', source_id,
               'blank', CASE WHEN is_vima THEN 'client_operation_id' ELSE 'order_id' END)
      FROM day WHERE key IS NULL AND (SELECT without_key FROM population) > 0
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
               'as_of', $9::timestamptz,
               'amount', json_build_object(
                   'agrees', amounts_agree, 'vima', trim_scale(vima_amount)::text, 'payshack', trim_scale(payshack_amount)::text,
                   'payshack_field', CASE WHEN is_paid THEN 'paid_amount' ELSE 'amount' END,
                   'currencies_agree', vima_currency = payshack_currency,
                   'tolerance', trim_scale(tolerance)::text),
               'status', json_build_object(
                   'agrees', statuses_agree, 'vima', vima_status, 'payshack', payshack_status, 'may_be_late', is_late,
                   'late_until', GREATEST(vima_changed_at, payshack_changed_at) + $10::interval),
               'versions', json_build_object(
                   'vima', json_build_object('created_at', vima_created_at, 'changed_at', vima_changed_at),
                   'payshack', json_build_object('created_at', payshack_created_at, 'changed_at', payshack_changed_at)))
           ELSE json_build_object(
               'as_of', $9::timestamptz,
               'absent', json_build_object(
                   'side', CASE WHEN vima_id IS NULL THEN 'vima' ELSE 'payshack' END,
                   'settled', COALESCE(is_settled, false),
                   'settles_at', COALESCE(vima_created_at, payshack_created_at) + $11::interval,
                   'watermark', CASE WHEN vima_id IS NULL THEN $12::timestamptz ELSE $14::timestamptz END,
                   'covered_from', CASE WHEN vima_id IS NULL THEN $13::timestamptz ELSE $15::timestamptz END),
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
      FROM odd
),
written AS (
    INSERT INTO reconciliation_results (
        run_id, recon_date, key, occurrence, match_status, types, project, vima_txn_id, payshack_txn_id, vima_amount,
        payshack_amount, amount_diff, vima_currency, payshack_currency, vima_status, payshack_status, details)
    SELECT $1::uuid, $2::date, key, occurrence, match_status, types, project, vima_id, payshack_id, vima_amount,
           payshack_amount, amount_diff, vima_currency, payshack_currency, vima_status, payshack_status,
           -- As the contract writes times.
           replace(details::text, '+00:00"', 'Z"')::jsonb
      FROM found
    RETURNING match_status, types, vima_txn_id, payshack_txn_id, vima_amount, payshack_amount, amount_diff, vima_currency,
              payshack_currency
),
-- What is matched, plainly or after a closer look, and PayShack's rows that go with a Vima row of another day, or come with
-- one of this.
matched AS (
    SELECT currency, sum(payments)::bigint AS payments, sum(amount) AS amount, sum(come - go)::bigint AS come
      FROM (SELECT split_part(said, ' ', 1) AS currency, count(*) FILTER (WHERE of_day) AS payments, sum(amount) FILTER (WHERE of_day) AS amount,
                   count(*) FILTER (WHERE of_day AND NOT payshack_today) AS come,
                   count(*) FILTER (WHERE NOT of_day AND payshack_today) AS go
              FROM keys WHERE is_plain GROUP BY said
             UNION ALL
            SELECT vima_currency, count(*) FILTER (WHERE of_day AND match_status = 'matched'),
                   sum(vima_amount) FILTER (WHERE of_day AND match_status = 'matched'),
                   count(*) FILTER (WHERE of_day AND is_pair AND NOT payshack_today),
                   count(*) FILTER (WHERE NOT of_day AND payshack_today)
              FROM judged GROUP BY vima_currency) AS both_ways
     GROUP BY currency
)
-- What was found, summed up: of what is written, of what is matched, and of the rows that there are.
SELECT match_status AS "match_status!", types[1] AS type, COALESCE(vima_currency, payshack_currency) AS "currency!",
       count(*) AS "count!", count(vima_txn_id) AS "vima_rows!", count(payshack_txn_id) AS "payshack_rows!",
       -- At risk is the difference where only the amounts differ, else all of it.
       COALESCE(sum(CASE WHEN types = '{amount}' AND amount_diff IS NOT NULL THEN abs(amount_diff)
                         ELSE COALESCE(vima_amount, payshack_amount) END), 0) AS "amount!"
  FROM written GROUP BY 1, 2, 3
 UNION ALL
SELECT 'matched', NULL, currency, payments, payments, payments, amount FROM matched WHERE payments > 0
 UNION ALL
SELECT 'population', NULL, '', 0, vima, payshack + (SELECT COALESCE(sum(come), 0) FROM matched)::bigint, 0 FROM population
