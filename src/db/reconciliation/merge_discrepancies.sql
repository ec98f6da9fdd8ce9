-- Updates the discrepancies of a day with the results of a run, and records the changes. A discrepancy that is found again
-- unchanged is not written.
--
-- $1 run  $2 day  $3 the time as of which the run judged

WITH
found AS MATERIALIZED (
    SELECT *, CASE WHEN match_status = 'duplicate' THEN COALESCE(vima_txn_id, payshack_txn_id) END AS duplicate_txn_id
      FROM reconciliation_results WHERE run_id = $1 AND match_status NOT IN ('pending', 'unmatchable')
),
existing AS MATERIALIZED (
    SELECT id, key, occurrence, duplicate_txn_id, match_status, types, project, vima_txn_id, payshack_txn_id, vima_amount,
           payshack_amount, vima_currency, payshack_currency, vima_status, payshack_status, state, assignee, last_run_id
      FROM discrepancies WHERE recon_date = $2
),
-- What the history of a discrepancy contains. Only built for those that changed.
found_facts AS NOT MATERIALIZED (
    SELECT id, jsonb_build_object('match_status', match_status, 'types', types,
                                  'vima_amount', trim_scale(vima_amount)::text, 'payshack_amount', trim_scale(payshack_amount)::text,
                                  'vima_status', vima_status, 'payshack_status', payshack_status) AS facts
      FROM found
),
existing_facts AS NOT MATERIALIZED (
    SELECT id, jsonb_build_object('match_status', match_status, 'types', types,
                                  'vima_amount', trim_scale(vima_amount)::text, 'payshack_amount', trim_scale(payshack_amount)::text,
                                  'vima_status', vima_status, 'payshack_status', payshack_status) AS facts
      FROM existing
),
-- The run that last found what this one may not find.
previous AS (
    SELECT id, as_of FROM reconciliation_runs WHERE recon_date = $2 AND version IS NOT NULL ORDER BY version DESC LIMIT 1
),
compared AS MATERIALIZED (
    SELECT existing.id, existing.state AS from_state, existing.assignee, existing.last_run_id AS last_found_by,
           found.id IS NOT NULL AS is_found, found.id AS result_id,
           -- Still pending in this run: the discrepancy stays as it is.
           found.id IS NULL AND existing.duplicate_txn_id IS NULL AND EXISTS (
               SELECT FROM reconciliation_results AS pending
                WHERE pending.run_id = $1 AND pending.match_status = 'pending'
                  AND pending.key = existing.key AND pending.occurrence = existing.occurrence) AS is_pending,
           found.id IS NOT NULL AND (existing.match_status, existing.types, existing.vima_amount, existing.payshack_amount, existing.vima_status, existing.payshack_status)
               IS DISTINCT FROM (found.match_status, found.types, found.vima_amount, found.payshack_amount, found.vima_status, found.payshack_status) AS facts_changed,
           found.id IS NOT NULL AND (existing.vima_amount, existing.payshack_amount, existing.vima_status, existing.payshack_status)
               IS DISTINCT FROM (found.vima_amount, found.payshack_amount, found.vima_status, found.payshack_status) AS values_changed,
           found.id IS NOT NULL AND (existing.vima_txn_id, existing.payshack_txn_id, existing.vima_currency, existing.payshack_currency, existing.project)
               IS DISTINCT FROM (found.vima_txn_id, found.payshack_txn_id, found.vima_currency, found.payshack_currency, found.project) AS rows_changed
      FROM existing LEFT JOIN found
           ON found.key = existing.key AND found.occurrence = existing.occurrence
          AND found.duplicate_txn_id IS NOT DISTINCT FROM existing.duplicate_txn_id
),
transitions AS MATERIALIZED (
    SELECT *,
           CASE -- Reopened: resolved by a run and found again, or resolved by a person and changed since.
                WHEN is_found AND (from_state = 'auto_resolved' OR (from_state = 'resolved' AND values_changed)) THEN 'open'
                WHEN NOT is_found AND NOT is_pending AND from_state IN ('open', 'acknowledged') THEN 'auto_resolved'
                ELSE from_state END AS to_state
      FROM compared
),
changed AS MATERIALIZED (
    SELECT * FROM transitions
     WHERE to_state <> from_state OR facts_changed OR rows_changed OR is_found <> (last_found_by IS NULL)
),
-- A found discrepancy gets the new facts; one that was not found keeps the last ones.
updated AS (
    UPDATE discrepancies
       SET match_status = found.match_status, types = found.types, project = found.project, vima_txn_id = found.vima_txn_id,
           payshack_txn_id = found.payshack_txn_id, vima_amount = found.vima_amount, payshack_amount = found.payshack_amount,
           amount_diff = found.amount_diff, vima_currency = found.vima_currency,
           payshack_currency = found.payshack_currency, vima_status = found.vima_status,
           payshack_status = found.payshack_status, details = found.details, state = changed.to_state,
           resolved_at = CASE WHEN changed.to_state <> 'open' THEN discrepancies.resolved_at END,
           last_run_id = NULL, last_seen_at = NULL
      FROM changed JOIN found ON found.id = changed.result_id
     WHERE discrepancies.id = changed.id
),
not_found AS (
    UPDATE discrepancies
       SET state = changed.to_state,
           resolved_at = CASE WHEN changed.to_state <> changed.from_state THEN $3 ELSE resolved_at END,
           last_run_id = COALESCE(last_run_id, previous.id), last_seen_at = COALESCE(last_seen_at, previous.as_of)
      FROM changed, previous
     WHERE discrepancies.id = changed.id AND NOT changed.is_found
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
recorded AS (
    INSERT INTO discrepancy_changes (
        discrepancy_id, changed_at, run_id, from_state, to_state, from_assignee, to_assignee, from_facts, to_facts)
    SELECT changed.id, $3::timestamptz, $1::uuid, from_state, to_state, assignee, assignee, existing_facts.facts,
           COALESCE(found_facts.facts, existing_facts.facts)
      FROM changed JOIN existing_facts ON existing_facts.id = changed.id
           LEFT JOIN found_facts ON found_facts.id = changed.result_id
     WHERE to_state <> from_state OR facts_changed
     UNION ALL
    SELECT opened.id, $3, $1, NULL, 'open', NULL, NULL, NULL, found_facts.facts
      FROM opened JOIN found
           ON found.key = opened.key AND found.occurrence = opened.occurrence
          AND found.duplicate_txn_id IS NOT DISTINCT FROM opened.duplicate_txn_id
           JOIN found_facts ON found_facts.id = found.id
)
SELECT (SELECT count(*) FROM opened) AS "opened!",
       (SELECT count(*) FROM changed WHERE to_state = 'open' AND from_state <> 'open') AS "reopened!",
       (SELECT count(*) FROM changed WHERE to_state = 'auto_resolved' AND from_state <> 'auto_resolved') AS "auto_resolved!"
