-- no-transaction
CREATE INDEX CONCURRENTLY transactions_paid_out ON transactions (created_at) WHERE kind = 'payout';
