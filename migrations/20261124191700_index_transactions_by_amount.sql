-- no-transaction
-- With the id in the key: many payments have the same round amount. With the time beside it, to count by amount and day
-- without a look at the payments.
CREATE INDEX CONCURRENTLY transactions_by_amount ON transactions (amount, id) INCLUDE (created_at);
