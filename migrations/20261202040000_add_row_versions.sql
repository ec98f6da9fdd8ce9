-- The version of what people change, for entity tags: it grows with each change, also those of earlier releases, of jobs and of
-- hand-written statements. The trigger counts, because a statement that forgets to would let one person overwrite another.

CREATE FUNCTION count_version() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.version := OLD.version + 1;
    RETURN NEW;
END
$$;

ALTER TABLE discrepancies ADD COLUMN version bigint NOT NULL DEFAULT 1;
CREATE TRIGGER discrepancies_count_version BEFORE UPDATE ON discrepancies
    FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION count_version();

ALTER TABLE alert_rules ADD COLUMN version bigint NOT NULL DEFAULT 1;
CREATE TRIGGER alert_rules_count_version BEFORE UPDATE ON alert_rules
    FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION count_version();

-- That a key is used is no change of it.
ALTER TABLE api_keys ADD COLUMN version bigint NOT NULL DEFAULT 1;
CREATE TRIGGER api_keys_count_version BEFORE UPDATE ON api_keys
    FOR EACH ROW WHEN (OLD.last_used_at IS NOT DISTINCT FROM NEW.last_used_at) EXECUTE FUNCTION count_version();

-- Nor that a message was delivered.
ALTER TABLE webhooks ADD COLUMN version bigint NOT NULL DEFAULT 1;
CREATE TRIGGER webhooks_count_version BEFORE UPDATE OF url, description, events, sources, enabled, secret ON webhooks
    FOR EACH ROW EXECUTE FUNCTION count_version();

-- Nor that a report was sent.
ALTER TABLE report_schedules ADD COLUMN version bigint NOT NULL DEFAULT 1;
CREATE TRIGGER report_schedules_count_version BEFORE UPDATE OF name, enabled, owner_key ON report_schedules
    FOR EACH ROW EXECUTE FUNCTION count_version();
