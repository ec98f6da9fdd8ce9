//! What a worker asks of the servers while there is nothing to do.
//!
//! Redis tells every command as it comes (MONITOR), and which of them came from within a script. Of PostgreSQL's two counts
//! one is the worker's own log of its statements, the other the transactions of its database.

use std::collections::BTreeMap;
use std::io;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::figure::{self, Target};
use crate::harness::test_queue::TestQueue;

/// What a start takes is over by then.
const SETTLED: Duration = Duration::from_secs(5);
const WATCHED: Duration = Duration::from_secs(30);

/// Measures and prints.
pub(crate) async fn measure() {
    let queue = TestQueue::start().await;
    let worker = queue.start_worker(&[("LOG_LEVEL", "info,sqlx=debug"), ("JOB_RESCUE_SECONDS", "15")]);
    worker.worker_name().await;
    tokio::time::sleep(SETTLED).await;
    let (statements, transactions) = (count_statements(&worker.program.output()), count_transactions(&queue).await);
    let commands = watch_redis(&queue.servers.redis_url).await;
    println!("one idle worker of one queue, over {} s:", WATCHED.as_secs());
    print_commands("Redis commands that it sends", &commands, false, Target::AtMost(5.0));
    print_commands("Redis commands that its scripts run", &commands, true, Target::None);
    let statements = count_statements(&worker.program.output()) - statements;
    figure::print("PostgreSQL statements", figure::rate(statements, WATCHED), "/s", Target::AtMost(2.0));
    // Two of them are the question itself.
    let transactions = count_transactions(&queue).await - transactions - 2;
    figure::print("PostgreSQL transactions", figure::rate(transactions, WATCHED), "/s", Target::None);
}

/// A command, and whether a script runs it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Called {
    in_script: bool,
    name: String,
}

/// How often each command came within the time that is watched.
async fn watch_redis(url: &str) -> BTreeMap<Called, i64> {
    let mut monitor = Command::new("redis-cli")
        .args(["--no-auth-warning", "-u", url, "monitor"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("redis-cli is installed with Redis");
    let said = monitor.stdout.take().expect("piped");
    let reading = std::thread::spawn(move || io::read_to_string(said));
    tokio::time::sleep(WATCHED).await;
    monitor.kill().expect("it is ours");
    monitor.wait().expect("it is ours");
    let said = reading.join().expect("it does not panic").expect("readable text");
    let mut commands = BTreeMap::new();
    for called in said.lines().filter_map(read_call) {
        *commands.entry(called).or_default() += 1;
    }
    commands
}

/// Reads `1700000000.123456 [0 127.0.0.1:1234] "EVALSHA" "..."`; a script's commands bear `lua` for the address.
fn read_call(line: &str) -> Option<Called> {
    let (head, rest) = line.split_once("] \"")?;
    Some(Called { in_script: head.ends_with(" lua"), name: rest.split('"').next()?.to_lowercase() })
}

fn print_commands(what: &str, commands: &BTreeMap<Called, i64>, in_script: bool, target: Target) {
    let wanted = || commands.iter().filter(|(called, _)| called.in_script == in_script);
    let all = wanted().map(|(_, count)| count).sum();
    figure::print(what, figure::rate(all, WATCHED), "/s and queue", target);
    println!(
        "    {}",
        wanted().map(|(called, count)| format!("{} {count}", called.name)).collect::<Vec<_>>().join(", ")
    );
}

/// How many statements a worker that logs them has run.
fn count_statements(said: &str) -> i64 {
    let count = said.lines().filter(|line| line.contains("sqlx::query")).count();
    i64::try_from(count).unwrap_or(i64::MAX)
}

async fn count_transactions(queue: &TestQueue) -> i64 {
    queue.number("SELECT length(pg_stat_force_next_flush()::text)::bigint").await;
    queue.number("SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = current_database()").await
}
