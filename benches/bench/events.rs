//! How long live events take from their commit to thousands of clients of one web process, what a client costs, and what one that
//! does not read costs the others.

mod client;

use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use psp_dashboard::clock::{Clock, SystemClock};
use psp_dashboard::db;
use psp_dashboard::domain::event::Event;
use psp_dashboard::domain::transaction::Source;
use psp_dashboard::operations::publish_events::publish_events;
use psp_dashboard::redis::Redis;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::time::{MissedTickBehavior, interval, sleep};

use self::client::{Client, Commits};
use crate::harness::programs::Memory;
use crate::harness::test_system::{TestSystem, Web};
use crate::report::{self, Durations, Target};

const CLIENTS: usize = 5_000;
const IDLE_CLIENTS: usize = 10_000;
const EVENTS_PER_SECOND: u64 = 20;
const MEASURED: Duration = Duration::from_secs(10);
/// How many clients connect at the same time.
const CONNECTING: usize = 64;
/// After the last event, until a client may miss it.
const DRAINED: Duration = Duration::from_secs(5);
/// Each process has one end of every connection.
const OPEN_FILES: u64 = 16_000;

pub(crate) async fn measure() {
    let limit = Rlimit { current: Some(OPEN_FILES), ..getrlimit(Resource::Nofile) };
    setrlimit(Resource::Nofile, limit).expect("the hard limit of open files (ulimit -Hn) is at least 16,000");
    let system = TestSystem::start(&[]).await;
    measure_load(&system).await;
    measure_idle(&system).await;
}

async fn measure_load(system: &TestSystem) {
    let web = start_web(system).await;
    let before = web.program.memory_mib(Memory::Resident);
    let commits = Arc::new(Commits::default());
    let clients = connect(&web, CLIENTS, Some(&commits)).await;
    let alone = send_and_receive(system, &commits, &clients).await;
    let memory = per_client(&web, before, CLIENTS);
    let blocked = Client::connect_and_block(web.port).await;
    let beside = send_and_receive(system, &commits, &clients).await;
    drop((blocked, clients));
    report::heading(&format!("{CLIENTS} clients of one web process, {EVENTS_PER_SECOND} events per second"));
    report::print("commit to client, p50", alone.percentile_ms(50), "ms", Target::None);
    report::print("commit to client, p99", alone.percentile_ms(99), "ms", Target::AtMost(400.0));
    report::print("memory per client", memory, "KiB", Target::AtMost(12.0));
    report::print("p99 beside a client that does not read", beside.percentile_ms(99), "ms", Target::None);
    report::print("ratio of the p99", beside.percentile(99) / alone.percentile(99), "", Target::AtMost(1.2));
}

async fn measure_idle(system: &TestSystem) {
    let web = start_web(system).await;
    let before = web.program.memory_mib(Memory::Resident);
    let clients = connect(&web, IDLE_CLIENTS, None).await;
    report::heading(&format!("{IDLE_CLIENTS} idle clients of one web process"));
    report::print("memory per client", per_client(&web, before, IDLE_CLIENTS), "KiB", Target::AtMost(10.0));
    drop(clients);
}

async fn start_web(system: &TestSystem) -> Web {
    let web = system.start_web_with(&[("HTTP_MAX_CONNECTIONS", "20000"), ("LOG_LEVEL", "warn")]).await;
    // What the process allocates once is not the cost of a client.
    drop(connect(&web, 100, None).await);
    web
}

async fn connect(web: &Web, count: usize, commits: Option<&Arc<Commits>>) -> Vec<Client> {
    let port = web.port;
    let connecting = stream::iter(0..count).map(|_| Client::connect(port, commits.cloned()));
    connecting.buffer_unordered(CONNECTING).collect().await
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
fn per_client(web: &Web, before: f64, clients: usize) -> f64 {
    (web.program.memory_mib(Memory::Resident) - before) * 1_024.0 / clients as f64
}

/// Commits events in a steady rhythm, and returns how long each took to each client.
async fn send_and_receive(system: &TestSystem, commits: &Commits, clients: &[Client]) -> Durations {
    let redis = system.servers.redis().await;
    clients.iter().for_each(Client::forget);
    let mut rhythm = interval(Duration::from_secs(1) / u32::try_from(EVENTS_PER_SECOND).expect("a few"));
    rhythm.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let count = MEASURED.as_secs() * EVENTS_PER_SECOND;
    for _ in 0..count {
        rhythm.tick().await;
        commit_event(system, &redis, commits).await;
    }
    let count = usize::try_from(count).expect("a few");
    for _ in 0..DRAINED.as_millis() / 100 {
        if clients.iter().all(|client| client.received() == count) {
            break;
        }
        sleep(Duration::from_millis(100)).await;
    }
    let latencies: Vec<Duration> = clients.iter().flat_map(Client::latencies).collect();
    assert_eq!(latencies.len(), clients.len() * count, "every client receives every event once");
    Durations::new(latencies)
}

async fn commit_event(system: &TestSystem, redis: &Redis, commits: &Commits) {
    let mut transaction = system.pool.begin().await.expect("the database responds");
    let event = Event::NewTransactions { source: Source::Vima, count: 1 };
    let recorded = db::events::insert(&mut transaction, vec![event], SystemClock.now()).await.expect("an insert");
    transaction.commit().await.expect("a commit");
    commits.note(recorded[0].id);
    publish_events(redis, &recorded).await;
}
