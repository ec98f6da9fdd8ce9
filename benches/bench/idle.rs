//! What a worker asks of the servers while there is nothing to do.
//!
//! Redis counts its commands itself, those within scripts too. Of PostgreSQL's two counts one is the worker's own log of its
//! statements, the other the transactions of its database.

use std::collections::BTreeMap;
use std::time::Duration;

use redis::aio::ConnectionManager;

use crate::figure::{self, Target};
use crate::harness::trial::Trial;

const WATCHED: Duration = Duration::from_secs(30);

/// Measures and prints.
pub(crate) async fn measure() {
    let trial = Trial::open().await;
    let worker = trial.worker(&[("LOG_LEVEL", "info,sqlx=debug"), ("JOB_RESCUE_SECONDS", "15")]);
    worker.worker().await;
    let mut redis = trial.wire.connection();
    tokio::time::sleep(Duration::from_secs(5)).await;
    let (calls, statements, transactions) =
        (calls(&mut redis).await, statements(&worker.running.said()), transactions(&trial).await);
    tokio::time::sleep(WATCHED).await;
    let after = self::calls(&mut redis).await;
    println!("one idle worker of one queue, over {} s:", WATCHED.as_secs());
    let mut by_command = vec![];
    let mut all = 0;
    for (command, count) in after {
        let more = count - calls.get(&command).copied().unwrap_or(0);
        if more > 0 && command != "info" {
            all += more;
            by_command.push(format!("{command} {more}"));
        }
    }
    figure::print("Redis commands", figure::rate(all, WATCHED), "/s and queue", Target::AtMost(5.0));
    println!("    {}", by_command.join(", "));
    let statements = self::statements(&worker.running.said()) - statements;
    figure::print("PostgreSQL statements", figure::rate(statements, WATCHED), "/s", Target::AtMost(2.0));
    // One of them is the question itself.
    let transactions = self::transactions(&trial).await - transactions - 1;
    figure::print("PostgreSQL transactions", figure::rate(transactions, WATCHED), "/s", Target::None);
}

/// How often each command was called.
async fn calls(redis: &mut ConnectionManager) -> BTreeMap<String, i64> {
    let info: String = redis::cmd("INFO").arg("commandstats").query_async(redis).await.expect("Redis answers");
    info.lines()
        .filter_map(|line| {
            let (command, statistics) = line.strip_prefix("cmdstat_")?.split_once(":calls=")?;
            let calls = statistics.split(',').next()?.parse().ok()?;
            Some((command.to_owned(), calls))
        })
        .collect()
}

/// How many statements a worker that logs them has run.
fn statements(said: &str) -> i64 {
    let count = said.lines().filter(|line| line.contains("sqlx::query")).count();
    i64::try_from(count).unwrap_or(i64::MAX)
}

async fn transactions(trial: &Trial) -> i64 {
    trial.number("SELECT length(pg_stat_force_next_flush()::text)::bigint").await;
    trial.number("SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = current_database()").await
}
