-- Database roles with no more rights than the programs need. docs/operations.md says how to use them.
--
-- Run it as the role that runs `psp migrate` and owns the database, after `psp migrate`; running it again changes nothing, and
-- is needed only if a release adds a table to the lists below. The first time that role needs CREATEROLE, or the two roles must
-- exist already.
--
-- The owner is the only role that may change the schema. psp_web and psp_worker cannot log in: grant them to roles that can.
-- Tables of later migrations can be read and written by both until they are listed here.

DO $$
DECLARE
    role text;
BEGIN
    FOREACH role IN ARRAY ARRAY['psp_web', 'psp_worker'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role) THEN
            EXECUTE format('CREATE ROLE %I NOLOGIN', role);
        END IF;
    END LOOP;
    EXECUTE format('REVOKE ALL ON DATABASE %I FROM PUBLIC', current_database());
    EXECUTE format('GRANT CONNECT ON DATABASE %I TO psp_web, psp_worker', current_database());
    -- A reconciliation keeps the rows that it has to look at in temporary tables.
    EXECUTE format('GRANT TEMPORARY ON DATABASE %I TO psp_worker', current_database());
END
$$;

REVOKE CREATE ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO psp_web, psp_worker;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO psp_web, psp_worker;
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO psp_web, psp_worker;

-- What each role may not do, of the rights above.
DO $$
DECLARE
    rule record;
    table_name text;
BEGIN
    FOR rule IN
        SELECT * FROM (VALUES
            -- Payments, and everything derived from them, are written by jobs only.
            ('psp_web', 'INSERT, UPDATE, DELETE', ARRAY[
                'transactions', 'transaction_changes', 'rollup_cells', 'metric_cells', 'payment_versions',
                'payment_day_versions', 'packed_days', 'packed_cells', 'payment_rechecks', 'quarantine', 'unreadable_pages', 'rules_generations',
                'exchange_rates', 'payshack_lists', 'payshack_clients', 'payshack_resellers',
                'payshack_service_providers', 'payshack_balances', 'reconciliation_runs', 'reconciliation_results',
                'sync_runs', 'sync_streams', 'sync_cursor_marks', 'schedules', 'schedule_ticks', 'job_leases',
                'job_attempts', 'queue_minutes', 'cursor_key', '_sqlx_migrations']),
            -- The decisions of people and the events only grow.
            ('psp_web', 'UPDATE, DELETE', ARRAY['discrepancy_changes', 'events']),
            ('psp_web', 'DELETE', ARRAY['jobs', 'discrepancies', 'exports', 'api_keys', 'sessions', 'audit_entries']),
            -- The audit log is only added to; jobs remove what has expired. Its triggers have the rights of the owner.
            ('psp_web', 'UPDATE, DELETE', ARRAY['audit_log']),
            ('psp_web', 'INSERT, UPDATE, DELETE', ARRAY['audit_head', 'audit_anchors']),
            ('psp_worker', 'UPDATE', ARRAY['audit_log']),
            ('psp_worker', 'INSERT, UPDATE, DELETE', ARRAY['audit_head']),
            -- The sessions with the providers, and their limits.
            ('psp_web', 'SELECT, INSERT, UPDATE, DELETE', ARRAY[
                'provider_sessions', 'login_locks', 'refused_logins', 'request_slots']),
            -- Payments are never deleted.
            ('psp_worker', 'DELETE', ARRAY['transactions', 'transaction_changes', 'discrepancies', 'discrepancy_changes']),
            ('psp_worker', 'INSERT, UPDATE, DELETE', ARRAY['api_keys', '_sqlx_migrations']),
            -- A worker disables a webhook, and no more.
            ('psp_worker', 'INSERT, DELETE', ARRAY['webhooks']),
            -- People set the rules; a worker locks them. A web process announces that a rule has ended.
            ('psp_worker', 'INSERT, DELETE', ARRAY['alert_rules', 'report_schedules']),
            ('psp_web', 'UPDATE, DELETE', ARRAY['alert_notifications']),
            -- People request runs; jobs end them.
            ('psp_web', 'UPDATE, DELETE', ARRAY['report_runs']),
            -- People confirm bulk actions; jobs carry them out.
            ('psp_web', 'UPDATE, DELETE', ARRAY['bulk_action_batches']),
            ('psp_web', 'INSERT, UPDATE, DELETE', ARRAY['bulk_action_skips']),
            ('psp_worker', 'INSERT', ARRAY['bulk_actions', 'bulk_action_batches']),
            ('psp_worker', 'INSERT, UPDATE', ARRAY['idempotent_requests', 'sessions', 'saved_views']),
            -- It signs cursors and tickets of the web processes.
            ('psp_worker', 'SELECT, INSERT, UPDATE, DELETE', ARRAY['cursor_key'])
        ) AS rules (role, rights, tables)
    LOOP
        FOREACH table_name IN ARRAY rule.tables LOOP
            -- A table of a newer or an older release does not exist.
            IF to_regclass(format('public.%I', table_name)) IS NOT NULL THEN
                EXECUTE format('REVOKE %s ON public.%I FROM %I', rule.rights, table_name, rule.role);
            END IF;
        END LOOP;
    END LOOP;
END
$$;
