-- Groups the rows of the day by everything that two plain rows have in common. Most groups are plain: one row of each side,
-- within the window. They are only counted; of the other groups, the keys are kept. The statement that the table is created by is
-- read-only, so PostgreSQL may read the rows in parallel while it groups them.
--
-- $1, $2 the instants of the day  $3 window  $4 projects (null: all)

CREATE TEMPORARY TABLE day_groups ON COMMIT DROP AS
WITH
rows AS NOT MATERIALIZED (
    SELECT source = 'vima' AS is_vima,
           -- Keys are stored without surrounding blanks (providers/field).
           NULLIF(CASE source WHEN 'vima' THEN client_operation_id ELSE order_id END, '') AS key,
           -- PayShack's paid amount of a success, otherwise the requested amount.
           CASE WHEN source = 'payshack' AND status = 'success' THEN COALESCE(paid_amount, amount) ELSE amount END AS amount,
           currency, status, created_at
      FROM transactions
     WHERE source IN ('vima', 'payshack') AND kind = 'payin' AND ($4::text[] IS NULL OR project = ANY ($4))
       AND created_at >= $1::timestamptz AND created_at < $2::timestamptz
),
groups AS (
    SELECT key, amount, currency, count(*) FILTER (WHERE is_vima) AS vima_rows, count(*) AS all_rows,
           key IS NOT NULL AND count(*) = 2 AND count(*) FILTER (WHERE is_vima) = 1
               -- Usually the window is as long as the day, and the planner removes the second condition.
               AND ($2 - $1 <= $3::interval OR max(created_at) - min(created_at) <= $3) AS is_plain
      FROM rows GROUP BY key, amount, currency, status
)
SELECT is_plain, CASE WHEN NOT is_plain THEN key END AS key, CASE WHEN is_plain THEN currency END AS currency,
       -- Sums of integers are faster than those of the bigints that counts are.
       sum(amount) FILTER (WHERE is_plain) AS amount, sum(vima_rows::integer) AS vima_rows,
       sum((all_rows - vima_rows)::integer) AS payshack_rows
  FROM groups GROUP BY 1, 2, 3
