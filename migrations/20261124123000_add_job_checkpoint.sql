-- What a later attempt of a job goes on from, written in the transaction of the work that led there.

ALTER TABLE jobs ADD COLUMN checkpoint jsonb;
