-- no-transaction
CREATE INDEX CONCURRENTLY transactions_by_parts_of_ids ON transactions
 USING gin ((searched_ids(source_id, reference_id, client_operation_id, order_id, utr)) gin_trgm_ops);
