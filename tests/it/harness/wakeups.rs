//! The bells of the trials' queue, as Redis keeps them.

use redis::FromRedisValue;

use super::test_jobs::Trial;

/// The queue of the trials.
pub(crate) const QUEUE: &str = "trial";

/// What Redis answers to a command about a key of the queue.
pub(crate) async fn ask<T: FromRedisValue>(trial: &Trial, command: &str, key: &str, more: &[&str]) -> T {
    let key = trial.redis.key(&format!("queue:{QUEUE}:{key}"));
    let asked = redis::cmd(command).arg(&key).arg(more).query_async(&mut trial.redis.connection()).await;
    asked.unwrap_or_else(|error| panic!("{command} {key}: {error}"))
}

/// The names under which workers hear bells, those of the dead too, oldest first.
pub(crate) async fn workers(trial: &Trial) -> Vec<String> {
    let mut names: Vec<String> = ask(trial, "ZRANGE", "workers", &["0", "-1"]).await;
    names.sort();
    names
}

/// Lets workers look as if they had been silent for long. Those that live say soon that they do, or come back.
pub(crate) async fn silence(trial: &Trial, workers: &[String]) {
    for name in workers {
        let _added: u32 = ask(trial, "ZADD", "workers", &["XX", "1", name]).await;
    }
}
