-- Identifiers of persons whose data was erased, as keyed digests: syncs do not store their data again.
CREATE TABLE erased_identifiers (
    digest    bytea       PRIMARY KEY,
    kind      text        NOT NULL CHECK (kind IN ('email', 'phone', 'user_id')),
    erased_at timestamptz NOT NULL
);

-- One row. Made here, so that every process uses the same key and nobody has to set one.
CREATE TABLE erasure_key (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    key      bytea   NOT NULL
);

INSERT INTO erasure_key (key)
VALUES (sha256(convert_to(gen_random_uuid()::text || gen_random_uuid()::text || gen_random_uuid()::text, 'UTF8')));

-- Replaces what a regular expression finds, in the texts of a JSON value but not in its names and numbers.
CREATE FUNCTION erase_strings(value jsonb, pattern text, replacement text) RETURNS jsonb LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN CASE jsonb_typeof(value)
        WHEN 'string' THEN to_jsonb(regexp_replace(value #>> '{}', pattern, replacement, 'gi'))
        WHEN 'array' THEN (SELECT COALESCE(jsonb_agg(erase_strings(item, pattern, replacement) ORDER BY position), '[]')
                             FROM jsonb_array_elements(value) WITH ORDINALITY AS items (item, position))
        WHEN 'object' THEN (SELECT COALESCE(jsonb_object_agg(name, erase_strings(field, pattern, replacement)), '{}')
                              FROM jsonb_each(value) AS fields (name, field))
        ELSE value
    END;
END $$;
