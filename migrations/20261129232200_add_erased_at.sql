-- When the payer of a payment was erased; later versions of the payment are stored without a payer.
ALTER TABLE transactions ADD COLUMN erased_at timestamptz;
