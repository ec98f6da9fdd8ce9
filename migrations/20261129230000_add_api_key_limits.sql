-- API keys expire, may be limited to projects and networks, have a creator, and can be replaced by another key with an
-- overlap in which both work. Null: no limit, or not known (keys of earlier releases).

ALTER TABLE api_keys
    ADD COLUMN expires_at       timestamptz,
    ADD COLUMN projects         text[] CHECK (cardinality(projects) > 0),
    -- In CIDR notation.
    ADD COLUMN allowed_networks text[] CHECK (cardinality(allowed_networks) > 0),
    ADD COLUMN created_by       text,
    -- Not a reference: it may be a key of API_KEYS.
    ADD COLUMN created_by_key   uuid,
    ADD COLUMN rotated_at       timestamptz,
    ADD COLUMN replaced_by      uuid REFERENCES api_keys (id),
    ADD CHECK ((rotated_at IS NULL) = (replaced_by IS NULL));
