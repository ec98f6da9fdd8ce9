-- When a source began to be followed. Its covered_from said so only until the first of the owed days was read, and the place
-- that live runs begin at (sync_cursor_marks) is sought on the days after that too where the first is too young to tell.
-- Only of the row 'history'; null in one that an older release wrote.
ALTER TABLE sync_streams ADD COLUMN followed_from timestamptz;
