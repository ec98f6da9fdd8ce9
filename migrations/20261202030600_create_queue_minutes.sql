-- The history of each queue, by minute. A minute without a row is one in which neither a worker nor a scheduler ran.
CREATE TABLE queue_minutes (
    minute         timestamptz NOT NULL,
    queue          text        NOT NULL,
    -- Unfinished jobs by state, counted once within the minute. Null: the queue was not known then.
    queued         bigint,
    scheduled      bigint,
    running        bigint,
    retrying       bigint,
    -- Jobs that succeeded or failed within the minute, those of them that failed, and how long their last attempts took, in
    -- milliseconds. Null until the minute is over.
    finished       bigint,
    failed         bigint,
    run_time       bigint,
    longest_run    bigint,
    PRIMARY KEY (minute, queue)
);
