//! What is known of apalis-redis and apalis-cron, fault by fault, and that none of it reaches a job.

use futures_util::{StreamExt, stream};
use psp_dashboard::domain::job::JobId;
use psp_dashboard::wire::Wire;
use uuid::Uuid;

use crate::harness::private::PrivateRedis;
use crate::harness::servers::Servers;

const QUEUE: &str = "trial";

async fn ring(wire: &Wire, times: u32) {
    let rings = (0..times).map(|_| async { wire.ring(QUEUE, JobId(Uuid::now_v7())).await.expect("Redis takes it") });
    stream::iter(rings).buffer_unordered(16).collect::<Vec<()>>().await;
}

#[tokio::test]
async fn eight_thousand_due_bells_never_hang_in_a_queue() {
    let redis = PrivateRedis::start().await;
    let servers = Servers::beside(&redis).await;
    let wire = servers.wire().await;
    ring(&wire, 1_000).await;
    let bells: u64 = redis.ask(&format!("HLEN {}:queue:{QUEUE}:data", servers.namespace)).await;
    assert!((64..=100).contains(&bells), "{bells} bells");
}
