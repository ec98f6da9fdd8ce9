//! The load of an idle worker on the servers.
//!
//! Redis reports every command (MONITOR), and whether a script ran it. For PostgreSQL, one count is the worker's own log of
//! its statements, the other the transactions of its database.

use std::collections::BTreeMap;
use std::io;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::harness::test_queue::TestQueue;
use crate::report::{self, Target};

/// How long a worker needs to start.
const START_UP: Duration = Duration::from_secs(5);
const MEASURED: Duration = Duration::from_secs(30);

pub(crate) async fn measure() {
    let queue = TestQueue::start().await;
    let worker = queue.start_worker(&[("LOG_LEVEL", "info,sqlx=debug"), ("JOB_RESCUE_SECONDS", "15")]);
    worker.worker_name().await;
    tokio::time::sleep(START_UP).await;
    let (statements, transactions) = (count_statements(&worker.program.output()), count_transactions(&queue).await);
    let commands = count_redis_commands(&queue.servers.redis_url).await;
    report::heading(&format!("one idle worker of one queue, over {} s", MEASURED.as_secs()));
    print_commands("Redis commands it sends", &commands, false, Target::AtMost(5.0));
    print_commands("Redis commands its scripts run", &commands, true, Target::None);
    let statements = count_statements(&worker.program.output()) - statements;
    report::print("PostgreSQL statements", report::per_second(statements, MEASURED), "/s", Target::AtMost(2.0));
    // Two of them are those of the second count.
    let transactions = count_transactions(&queue).await - transactions - 2;
    report::print("PostgreSQL transactions", report::per_second(transactions, MEASURED), "/s", Target::None);
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct RedisCommand {
    in_script: bool,
    name: String,
}

/// Counts the commands that Redis receives for [`MEASURED`].
async fn count_redis_commands(url: &str) -> BTreeMap<RedisCommand, i64> {
    let mut monitor = Command::new("redis-cli")
        .args(["--no-auth-warning", "-u", url, "monitor"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("redis-cli is installed with Redis");
    let stdout = monitor.stdout.take().expect("stdout is piped");
    let reading = std::thread::spawn(move || io::read_to_string(stdout));
    tokio::time::sleep(MEASURED).await;
    monitor.kill().expect("a child of this process");
    monitor.wait().expect("a child of this process");
    let lines = reading.join().expect("no panic").expect("valid UTF-8");
    let mut commands = BTreeMap::new();
    for command in lines.lines().filter_map(parse_command) {
        *commands.entry(command).or_default() += 1;
    }
    commands
}

/// Parses `1700000000.123456 [0 127.0.0.1:1234] "EVALSHA" "..."`; the address of commands in scripts is `lua`.
fn parse_command(line: &str) -> Option<RedisCommand> {
    let (head, rest) = line.split_once("] \"")?;
    Some(RedisCommand { in_script: head.ends_with(" lua"), name: rest.split('"').next()?.to_lowercase() })
}

fn print_commands(name: &str, commands: &BTreeMap<RedisCommand, i64>, in_script: bool, target: Target) {
    let selected = || commands.iter().filter(|(command, _)| command.in_script == in_script);
    let total = selected().map(|(_, count)| count).sum();
    report::print(name, report::per_second(total, MEASURED), "/s per queue", target);
    println!(
        "    {}",
        selected().map(|(command, count)| format!("{} {count}", command.name)).collect::<Vec<_>>().join(", ")
    );
}

/// Counts the statements in the log of a worker.
fn count_statements(log: &str) -> i64 {
    let count = log.lines().filter(|line| line.contains("sqlx::query")).count();
    i64::try_from(count).unwrap_or(i64::MAX)
}

async fn count_transactions(queue: &TestQueue) -> i64 {
    queue.number("SELECT length(pg_stat_force_next_flush()::text)::bigint").await;
    queue.number("SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = current_database()").await
}
