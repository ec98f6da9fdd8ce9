-- The keys of the day that have rows within two windows around the day as well: pairs on both sides of midnight, and keys that
-- are used again. The statement that the table is created by is read-only, so PostgreSQL may execute it in parallel.
--
-- $1, $2 the instants of the day  $3 window  $4 projects (null: all)

CREATE TEMPORARY TABLE nearby_keys ON COMMIT DROP AS
WITH
rows AS NOT MATERIALIZED (
    SELECT NULLIF(CASE source WHEN 'vima' THEN client_operation_id ELSE order_id END, '') AS key, created_at
      FROM transactions
     WHERE source IN ('vima', 'payshack') AND kind = 'payin' AND ($4::text[] IS NULL OR project = ANY ($4))
),
nearby AS NOT MATERIALIZED (
    SELECT key FROM rows
     WHERE (created_at >= $1::timestamptz - 2 * $3::interval AND created_at < $1)
        OR (created_at >= $2::timestamptz AND created_at < $2 + 2 * $3)
)
SELECT DISTINCT key FROM nearby
 WHERE EXISTS (SELECT FROM rows AS day WHERE day.key = nearby.key AND day.created_at >= $1 AND day.created_at < $2)
   -- Decided before any row is read: a day without neighbours is not read for their sake.
   AND (SELECT EXISTS (SELECT FROM nearby))
