-- no-transaction
-- For jobs by what their arguments contain. Without the arguments of most jobs of the schedule, so that these cost nothing.
CREATE INDEX CONCURRENTLY jobs_by_args ON jobs USING gin (args jsonb_path_ops)
    WHERE args <> '{}' AND args <> '{"mode": "incremental"}';
