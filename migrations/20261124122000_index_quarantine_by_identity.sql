-- A record that is told rightly again leaves the quarantine by its identity, looked for with every page; the listing is
-- walked by when an entry came.

CREATE INDEX quarantine_by_identity ON quarantine (source, kind, source_id) WHERE source_id IS NOT NULL;
CREATE INDEX quarantine_by_first_seen ON quarantine (first_seen_at, id);
