-- What payments are searched by, and how it is indexed; db/transaction_search/search.rs says why so.

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

-- Every four bytes of a text that follow each other, each as a number: of ASCII its own.
CREATE FUNCTION search_grams(searched text)
RETURNS int[] LANGUAGE sql IMMUTABLE PARALLEL SAFE STRICT COST 500 AS $$
    SELECT ARRAY(SELECT get_byte(bytes, at) | (get_byte(bytes, at + 1) << 7) | (get_byte(bytes, at + 2) << 14)
                        | (get_byte(bytes, at + 3) << 21)
                   FROM convert_to(searched, 'UTF8') AS bytes, generate_series(0, length(bytes) - 4) AS at)
$$;

-- All fours that begin with a text of three bytes.
CREATE FUNCTION search_grams_from(searched text)
RETURNS int[] LANGUAGE sql IMMUTABLE PARALLEL SAFE STRICT AS $$
    SELECT ARRAY(SELECT get_byte(bytes, 0) | (get_byte(bytes, 1) << 7) | (get_byte(bytes, 2) << 14)
                        | (following << 21)
                   FROM convert_to(searched, 'UTF8') AS bytes, generate_series(0, 255) AS following)
$$;
