//! Schedulers that start and are killed: each tick becomes exactly one job, also after an error of the clock.

use chrono::TimeDelta;
use psp_dashboard::clock::{Clock, SystemClock};
use psp_dashboard::operations::enqueue_job::{TickOutcome, enqueue_tick};
use psp_test_jobs::kinds;
use serde_json::json;
use sqlx::Executor;

use crate::harness::scheduler_ticks::kill_schedulers;
use crate::harness::test_queue::TestQueue;
use crate::harness::{eventually, is_long};

#[tokio::test]
async fn two_killed_schedulers_lose_and_duplicate_no_tick() {
    let (kills, ticks) = if is_long() { (20, 50) } else { (3, 8) };
    kill_schedulers(&TestQueue::start().await, 2, kills, ticks).await.assert_each_ticked_once();
}

#[tokio::test]
async fn ten_killed_schedulers_lose_and_duplicate_no_tick() {
    let (kills, ticks) = if is_long() { (20, 50) } else { (3, 5) };
    kill_schedulers(&TestQueue::start().await, 10, kills, ticks).await.assert_each_ticked_once();
}

#[tokio::test]
async fn ticks_recorded_before_their_time_are_enqueued_again_when_it_has_come() {
    let queue = TestQueue::start().await;
    // A scheduler whose clock was an hour ahead recorded the ticks of the next seconds.
    queue
        .pool
        .execute(
            "INSERT INTO schedule_ticks (schedule, tick_at, job_id, recorded_at)
             SELECT 'test-01', date_trunc('second', now()) + n * interval '1 second', gen_random_uuid(),
                    now() - CASE n WHEN 0 THEN interval '0' ELSE interval '1 hour' END
               FROM generate_series(0, 4) AS n",
        )
        .await
        .expect("the jobs table accepts them");
    let _scheduler = queue.start_process(&["scheduler"], &[]);
    eventually("the ticks to be enqueued again", || async {
        let enqueued = "SELECT count(*) FROM schedule_ticks JOIN jobs ON jobs.id = job_id AND scheduled_for = tick_at
                         WHERE schedule = 'test-01'
                           AND tick_at <= (SELECT min(tick_at) + interval '4 seconds' FROM schedule_ticks)";
        (queue.number(enqueued).await == 4).then_some(())
    })
    .await;
    let repeated = "SELECT count(*) FROM (SELECT FROM jobs GROUP BY scheduled_for HAVING count(*) > 20) AS repeated";
    assert_eq!(queue.number(repeated).await, 0, "each of the 20 entries has one job per tick");
}

#[tokio::test]
async fn early_tick_counts_as_recorded_until_its_time() {
    let queue = TestQueue::start().await;
    let in_an_hour = SystemClock.now() + TimeDelta::hours(1);
    let tick = async |tick_at| {
        let job = kinds::job(&kinds::NO_OP, json!({}));
        enqueue_tick(&queue.pool, &queue.redis, "early", tick_at, job).await.expect("the jobs table responds")
    };
    let is_new = |outcome| matches!(outcome, TickOutcome::Enqueued(_));
    assert!(is_new(tick(in_an_hour).await));
    assert_eq!(tick(in_an_hour).await, TickOutcome::AlreadyRecorded, "a clock that is ahead records it once");
    let pass_time = "UPDATE schedule_ticks SET tick_at = tick_at - interval '2 hours', recorded_at = recorded_at - interval '2 hours'";
    queue.pool.execute(pass_time).await.expect("the jobs table responds");
    let an_hour_ago = in_an_hour - TimeDelta::hours(2);
    assert!(is_new(tick(an_hour_ago).await), "its time has come");
    assert_eq!(tick(an_hour_ago).await, TickOutcome::AlreadyRecorded);
}
