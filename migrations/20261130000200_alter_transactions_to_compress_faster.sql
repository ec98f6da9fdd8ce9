-- A record of a provider makes most rows longer than 2 kB, from which on PostgreSQL compresses them. lz4 takes a fraction of
-- the time of pglz, the default. Stored rows stay as they are. A server that was built without lz4 keeps pglz.
DO $$
BEGIN
    ALTER TABLE transactions ALTER COLUMN raw_data SET COMPRESSION lz4;
EXCEPTION WHEN feature_not_supported THEN
    RAISE NOTICE 'this PostgreSQL was built without lz4: raw records are compressed by pglz';
END
$$;
