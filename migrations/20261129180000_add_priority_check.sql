-- The rebuild of the metric cells was enqueued with a priority that no worker claims. Due jobs are found by priority, so a
-- priority that workers do not know is a job that never runs.
UPDATE jobs SET priority = 10 WHERE priority NOT IN (0, 10, 20);

-- Not validated here: that reads the whole table while nobody may write to it. The next migration does.
ALTER TABLE jobs ADD CONSTRAINT jobs_priority_check CHECK (priority IN (0, 10, 20)) NOT VALID;
