-- When the results of a superseded run were deleted. Its counts stay.
ALTER TABLE reconciliation_runs ADD COLUMN results_deleted_at timestamptz;
