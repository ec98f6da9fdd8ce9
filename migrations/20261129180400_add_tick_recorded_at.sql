-- When a tick was recorded, by the clock of the database: a scheduler whose clock is ahead records ticks too early, and those
-- are enqueued again when their time has come.
ALTER TABLE schedule_ticks ADD COLUMN recorded_at timestamptz NOT NULL DEFAULT now();
