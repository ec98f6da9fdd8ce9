-- Where a process runs, what it is, and how many jobs it runs at a time. Null in the rows of the release before.
ALTER TABLE processes
    ADD COLUMN host    text,
    ADD COLUMN version text,
    ADD COLUMN slots   integer CHECK (slots > 0);
