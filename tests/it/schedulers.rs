//! Schedulers that start and are killed: each tick becomes exactly one job.

use crate::harness::is_long;
use crate::harness::scheduler_ticks::kill_schedulers;
use crate::harness::test_queue::TestQueue;

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
