//! The wake-ups of the test jobs' queue, as apalis-redis stores them.

use redis::FromRedisValue;

use super::test_queue::TestQueue;

/// The queue of all test job kinds.
pub(crate) const QUEUE: &str = "test";

/// Runs a Redis command on a key of the queue.
pub(crate) async fn redis_command<T: FromRedisValue>(
    queue: &TestQueue,
    command: &str,
    key: &str,
    arguments: &[&str],
) -> T {
    let key = queue.redis.key(&format!("queue:{QUEUE}:{key}"));
    let reply = redis::cmd(command).arg(&key).arg(arguments).query_async(&mut queue.redis.connection()).await;
    reply.unwrap_or_else(|error| panic!("{command} {key}: {error}"))
}

/// The names of the registered workers, including dead ones, oldest first.
pub(crate) async fn registered_workers(queue: &TestQueue) -> Vec<String> {
    let mut names: Vec<String> = redis_command(queue, "ZRANGE", "workers", &["0", "-1"]).await;
    names.sort();
    names
}

/// Makes workers look as if they had sent no heartbeat for a long time. Live workers soon send one, or register again.
pub(crate) async fn expire_heartbeats(queue: &TestQueue, workers: &[String]) {
    for name in workers {
        let _added: u32 = redis_command(queue, "ZADD", "workers", &["XX", "1", name]).await;
    }
}
