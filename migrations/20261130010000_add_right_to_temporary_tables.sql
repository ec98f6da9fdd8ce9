-- Reconciliation keeps the rows that it has to look at in temporary tables. The roles of deploy/postgresql/roles.sql may not
-- create any unless that is granted; where they do not exist, everyone may.

DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'psp_worker') THEN
        EXECUTE format('GRANT TEMPORARY ON DATABASE %I TO psp_worker', current_database());
    END IF;
END
$$;
