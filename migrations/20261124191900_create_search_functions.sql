-- What payments are searched by, and how it is indexed; db/transaction_search/search.rs says why so.

-- Trusted: whoever owns the database may.
CREATE EXTENSION IF NOT EXISTS pg_trgm;

-- The ids of a payment, one a line.
CREATE FUNCTION searched_ids(source_id text, reference_id text, client_operation_id text, order_id text, utr text)
RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN lower(source_id || E'\n' || COALESCE(reference_id, '') || E'\n' || COALESCE(client_operation_id, '') || E'\n'
             || COALESCE(order_id, '') || E'\n' || COALESCE(utr, '') || E'\n') COLLATE "C";

-- What it says of the payer, one a line. Text is compared byte by byte, which costs least.
CREATE FUNCTION searched_person(user_email text, user_phone text, user_name text)
RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN lower(COALESCE(user_email, '') || E'\n' || COALESCE(user_phone, '') || E'\n' || COALESCE(user_name, '') || E'\n')
       COLLATE "C";
