-- no-transaction
-- The newest of a project, however rare it is among the others. So with merchants, countries, methods and currencies: each
-- is listed by creation, and what is created at the same moment is sorted by id as it is read.
CREATE INDEX CONCURRENTLY transactions_by_project ON transactions (project, created_at);
