-- no-transaction
CREATE INDEX CONCURRENTLY transactions_by_parts_of_person ON transactions
 USING gin (search_grams(searched_person(user_email, user_phone, user_name)));
