-- `transactions_by_source_id` enforces the same, for this release and the previous one.
DROP INDEX transactions_identity;
