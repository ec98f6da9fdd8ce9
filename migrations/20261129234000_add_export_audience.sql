-- Who requested an export, by the id of the key, and the projects that it may contain (null: all). A row of the previous release
-- has neither: it was made for all projects, and belongs to no key.
ALTER TABLE exports ADD COLUMN requested_by_key uuid, ADD COLUMN projects text[];
