-- Reads the whole table, while jobs are still written.
ALTER TABLE jobs VALIDATE CONSTRAINT jobs_priority_check;
