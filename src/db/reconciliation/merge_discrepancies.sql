-- Brings the cases of a day up to what a run has found, and writes into their history what that changed. A case that is
-- found as it was is not touched.
--
-- $1 run  $2 day  $3 the time at which the run judged

WITH
found AS MATERIALIZED (
    SELECT *, CASE WHEN match_status = 'duplicate' THEN COALESCE(vima_txn_id, payshack_txn_id) END AS duplicate_txn_id,
           jsonb_build_object('match_status', match_status, 'types', types,
                              'vima_amount', trim_scale(vima_amount)::text, 'payshack_amount', trim_scale(payshack_amount)::text,
                              'vima_status', vima_status, 'payshack_status', payshack_status) AS facts
      FROM reconciliation_results WHERE run_id = $1 AND match_status NOT IN ('pending', 'unmatchable')
),
known AS MATERIALIZED (
    SELECT *,
           jsonb_build_object('match_status', match_status, 'types', types,
                              'vima_amount', trim_scale(vima_amount)::text, 'payshack_amount', trim_scale(payshack_amount)::text,
                              'vima_status', vima_status, 'payshack_status', payshack_status) AS facts
      FROM discrepancies WHERE recon_date = $2
),
-- The run that found last what this one may not find.
previous AS (
    SELECT id, as_of FROM reconciliation_runs WHERE recon_date = $2 AND version IS NOT NULL ORDER BY version DESC LIMIT 1
),
compared AS MATERIALIZED (
    SELECT known.id, known.state AS from_state, known.assignee, known.facts AS from_facts, known.last_run_id AS lost_by,
           found.id IS NOT NULL AS is_found, found.id AS result_id, found.facts AS to_facts,
           -- Nobody can say yet whether it is still so: the case waits.
           found.id IS NULL AND known.duplicate_txn_id IS NULL AND EXISTS (
               SELECT FROM reconciliation_results AS pending
                WHERE pending.run_id = $1 AND pending.match_status = 'pending'
                  AND pending.key = known.key AND pending.occurrence = known.occurrence) AS is_undecided,
           found.facts IS NOT NULL AND found.facts <> known.facts AS has_moved,
           found.facts IS NOT NULL AND (known.vima_amount, known.payshack_amount, known.vima_status, known.payshack_status)
               IS DISTINCT FROM (found.vima_amount, found.payshack_amount, found.vima_status, found.payshack_status) AS has_changed,
           found.id IS NOT NULL AND (known.vima_txn_id, known.payshack_txn_id, known.vima_currency, known.payshack_currency, known.project)
               IS DISTINCT FROM (found.vima_txn_id, found.payshack_txn_id, found.vima_currency, found.payshack_currency, found.project) AS has_other_rows
      FROM known LEFT JOIN found
           ON found.key = known.key AND found.occurrence = known.occurrence
          AND found.duplicate_txn_id IS NOT DISTINCT FROM known.duplicate_txn_id
),
moves AS MATERIALIZED (
    SELECT *,
           CASE -- What a run closed is open where one finds it, and what a person settled where it has changed since.
                WHEN is_found AND (from_state = 'auto_resolved' OR (from_state = 'resolved' AND has_changed)) THEN 'open'
                WHEN NOT is_found AND NOT is_undecided AND from_state IN ('open', 'acknowledged') THEN 'auto_resolved'
                ELSE from_state END AS to_state
      FROM compared
),
touched AS MATERIALIZED (
    SELECT * FROM moves
     WHERE to_state <> from_state OR has_moved OR has_other_rows OR is_found <> (lost_by IS NULL)
),
-- What is found is copied onto its case; what is not keeps what was found last.
refound AS (
    UPDATE discrepancies
       SET match_status = found.match_status, types = found.types, project = found.project, vima_txn_id = found.vima_txn_id,
           payshack_txn_id = found.payshack_txn_id, vima_amount = found.vima_amount, payshack_amount = found.payshack_amount,
           amount_diff = found.amount_diff, vima_currency = found.vima_currency,
           payshack_currency = found.payshack_currency, vima_status = found.vima_status,
           payshack_status = found.payshack_status, details = found.details, state = touched.to_state,
           resolved_at = CASE WHEN touched.to_state <> 'open' THEN discrepancies.resolved_at END,
           last_run_id = NULL, last_seen_at = NULL
      FROM touched JOIN found ON found.id = touched.result_id
     WHERE discrepancies.id = touched.id
),
lost AS (
    UPDATE discrepancies
       SET state = touched.to_state,
           resolved_at = CASE WHEN touched.to_state <> touched.from_state THEN $3 ELSE resolved_at END,
           last_run_id = COALESCE(last_run_id, previous.id), last_seen_at = COALESCE(last_seen_at, previous.as_of)
      FROM touched, previous
     WHERE discrepancies.id = touched.id AND NOT touched.is_found
),
opened AS (
    INSERT INTO discrepancies (
        id, recon_date, key, occurrence, duplicate_txn_id, match_status, types, project, vima_txn_id, payshack_txn_id,
        vima_amount, payshack_amount, amount_diff, vima_currency, payshack_currency, vima_status, payshack_status, details,
        state, first_seen_at, first_run_id, created_at)
    SELECT gen_random_uuid(), $2, key, occurrence, duplicate_txn_id, match_status, types, project, vima_txn_id,
           payshack_txn_id, vima_amount, payshack_amount, amount_diff, vima_currency, payshack_currency, vima_status,
           payshack_status, details, 'open', $3, $1, $3
      FROM found WHERE NOT EXISTS (SELECT FROM compared WHERE compared.result_id = found.id)
    RETURNING id, key, occurrence, duplicate_txn_id
),
told AS (
    INSERT INTO discrepancy_changes (
        discrepancy_id, changed_at, run_id, from_state, to_state, from_assignee, to_assignee, from_facts, to_facts)
    SELECT id, $3::timestamptz, $1::uuid, from_state, to_state, assignee, assignee, from_facts, COALESCE(to_facts, from_facts)
      FROM touched WHERE to_state <> from_state OR has_moved
     UNION ALL
    SELECT opened.id, $3, $1, NULL, 'open', NULL, NULL, NULL, found.facts
      FROM opened JOIN found
           ON found.key = opened.key AND found.occurrence = opened.occurrence
          AND found.duplicate_txn_id IS NOT DISTINCT FROM opened.duplicate_txn_id
)
SELECT (SELECT count(*) FROM opened) AS "opened!",
       (SELECT count(*) FROM touched WHERE to_state = 'open' AND from_state <> 'open') AS "reopened!",
       (SELECT count(*) FROM touched WHERE to_state = 'auto_resolved' AND from_state <> 'auto_resolved') AS "auto_resolved!"
