-- no-transaction
-- For jobs by the outcome of an attempt. Most attempts succeed; whether a job has one that did is the state of the job.
CREATE INDEX CONCURRENTLY job_attempts_unsuccessful ON job_attempts (outcome, job_id) WHERE outcome <> 'succeeded';
