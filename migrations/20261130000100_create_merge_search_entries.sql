-- Moves the new entries of the search indexes from their pending lists to the indexes themselves, and returns the number of
-- pages that this frees. Only the owner of an index may do this, and workers are not the owner. Of concurrent calls, one does
-- the work and the others return null.
CREATE FUNCTION merge_search_entries() RETURNS bigint LANGUAGE sql SECURITY DEFINER SET search_path FROM CURRENT AS $$
    SELECT gin_clean_pending_list('transactions_by_parts_of_ids') + gin_clean_pending_list('transactions_by_parts_of_person')
     WHERE pg_try_advisory_xact_lock(hashtextextended('merge_search_entries', 0))
$$;
