-- All rows, of the day and nearby, with a key that a plain pair does not account for; and the rows of the day without a key.
--
-- $1, $2 the instants of the day  $3 window  $4 projects (null: all)

CREATE TEMPORARY TABLE not_plain ON COMMIT DROP AS
WITH
keys AS MATERIALIZED (
    SELECT key FROM day_groups WHERE key IS NOT NULL UNION SELECT key FROM nearby_keys
),
rows AS (
    SELECT transactions.*, key FROM keys JOIN transactions ON client_operation_id = key WHERE source = 'vima'
     UNION ALL
    SELECT transactions.*, key FROM keys JOIN transactions ON order_id = key WHERE source = 'payshack'
     UNION ALL
    SELECT *, NULL FROM transactions
     WHERE created_at >= $1::timestamptz AND created_at < $2::timestamptz
       AND NULLIF(CASE source WHEN 'vima' THEN client_operation_id ELSE order_id END, '') IS NULL
       AND (SELECT EXISTS (SELECT FROM day_groups WHERE key IS NULL AND NOT is_plain))
)
SELECT id, source = 'vima' AS is_vima, source_id, project, key,
       -- PayShack's paid amount of a success, otherwise the requested amount.
       CASE WHEN source = 'payshack' AND status = 'success' THEN COALESCE(paid_amount, amount) ELSE amount END AS amount,
       source = 'payshack' AND status = 'success' AND paid_amount IS NOT NULL AS is_paid,
       currency, status, created_at, COALESCE(updated_at, created_at) AS changed_at,
       created_at >= $1 AND created_at < $2 AS in_day
  FROM rows
 WHERE source IN ('vima', 'payshack') AND kind = 'payin' AND ($4::text[] IS NULL OR project = ANY ($4))
   AND created_at >= $1 - 2 * $3 AND created_at < $2 + 2 * $3
