-- no-transaction
CREATE INDEX CONCURRENTLY transactions_by_parts_of_person ON transactions
 USING gin ((searched_person(user_email, user_phone, user_name)) gin_trgm_ops);
