-- Which rules have turned a provider's record into a payment: the parsers of a release, and their settings. Newer rules may
-- replace what older ones made of the same version.
CREATE TABLE rules_generations (
    source      text   NOT NULL,
    -- A digest of the rules.
    fingerprint text   NOT NULL,
    -- Higher for newer rules. Rules that return, as after a rollback, become the newest.
    generation  bigint NOT NULL,
    PRIMARY KEY (source, fingerprint)
);

-- Null if an older release wrote the payment.
ALTER TABLE transactions ADD COLUMN rules_generation bigint;

-- Of the updated records: those of a version that was stored before, read by newer rules.
ALTER TABLE sync_runs ADD COLUMN replaced bigint NOT NULL DEFAULT 0;
