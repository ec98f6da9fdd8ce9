-- A run writes tens of thousands of rows, and PostgreSQL checks the foreign key of each by a statement of its own. It plans that
-- statement once per session: while `discrepancies` was empty, it may choose to read an index from end to end for each row.
--
-- The keys are correct without these constraints: a run is completed in the transaction that writes its results, which fails if
-- the run does not exist; a change is written by the statement that writes its discrepancy; and neither completed runs nor
-- discrepancies are ever deleted.

ALTER TABLE reconciliation_results DROP CONSTRAINT reconciliation_results_run_id_fkey;
ALTER TABLE discrepancy_changes DROP CONSTRAINT discrepancy_changes_discrepancy_id_fkey;
