//! Sentinels that are away, wrong, or refuse the credentials: what the programs and `psp check` say.

use psp_test_jobs::kinds::NO_OP;
use serde_json::json;

use crate::harness::eventually;
use crate::harness::health::wait_for_problem;
use crate::harness::private_servers::PrivateRedis;
use crate::harness::programs::{Output, Program, free_port, run};
use crate::harness::sentinels::{MonitoredRedis, SERVICE};
use crate::harness::servers::Servers;
use crate::harness::test_queue::TestQueue;
use crate::harness::test_system::TestSystem;

fn check(system: &TestSystem, url: String) -> Output {
    run(Program::Psp, &["check"], system.settings().into_iter().chain([("REDIS_URL", url)]))
}

#[tokio::test]
async fn one_sentinel_that_answers_is_enough() {
    let mut redis = MonitoredRedis::start().await;
    let dead = redis.sentinels[0].port();
    let wrong = redis.servers[0].port();
    redis.sentinels[0].kill();
    let url = redis.url_with(&format!(
        "127.0.0.1:{},127.0.0.1:{dead},no-such-host.invalid,127.0.0.1:{wrong},127.0.0.1:{}",
        free_port(),
        redis.sentinels[1].port()
    ));
    let mut servers = Servers::with_sentinels(&redis).await;
    servers.redis_url.clone_from(&url);
    let queue = TestQueue::start_on(servers).await;
    let _worker = queue.start_worker(&[]);
    queue.enqueue(&NO_OP, json!({})).await;
    queue.wait_until_idle().await;

    let system = TestSystem::start_on(Servers::with_sentinels(&redis).await, &[]).await;
    let warned = check(&system, url);
    assert!(warned.stdout.contains("warn  redis: sentinels: 127.0.0.1"), "{warned:?}");
    for silent in [format!("127.0.0.1:{dead} does not answer"), "no-such-host.invalid:26379 does not answer".to_owned()]
    {
        assert!(warned.stdout.contains(&silent), "{silent}: {warned:?}");
    }
    assert!(warned.stdout.contains("ok    redis: reachable"), "{warned:?}");
}

#[tokio::test]
async fn check_reports_the_sentinels() {
    let redis = MonitoredRedis::start().await;
    let system = TestSystem::start_on(Servers::with_sentinels(&redis).await, &[]).await;
    let checked = check(&system, redis.url());
    let line = format!("ok    redis: 3 sentinels name 127.0.0.1:{} as the primary", redis.servers[0].port());
    assert!(checked.stdout.contains(&line), "{checked:?}");
}

#[tokio::test]
async fn processes_start_without_any_sentinel_and_say_so() {
    let mut redis = MonitoredRedis::start().await;
    let system = TestSystem::start_on(Servers::with_sentinels(&redis).await, &[]).await;
    redis.sentinels.iter_mut().for_each(PrivateRedis::kill);
    let problem = "no sentinel of Redis can be reached";
    let web = system.spawn_web(&[]);
    let _scheduler = system.start_jobs(&["scheduler"]);
    let worker = system.start_jobs(&["worker"]);
    wait_for_problem(&web, 200, problem).await;
    eventually("the worker to say so", || async { worker.output().contains(problem).then_some(()) }).await;
    let failed = check(&system, redis.url());
    assert!(failed.stdout.contains(&format!("FAIL  redis: {problem}")), "{failed:?}");
    // Without Redis.
    system.wait_until_first_sync().await;

    for sentinel in &mut redis.sentinels {
        sentinel.restart().await;
    }
    web.wait_until_ready().await;
}

#[tokio::test]
async fn wrong_names_and_passwords_prevent_the_start() {
    let redis = MonitoredRedis::start().await;
    let system = TestSystem::start_on(Servers::with_sentinels(&redis).await, &[]).await;
    let url = redis.url();
    for (wrong, message) in [
        (url.replace(&format!("/{SERVICE}/"), "/other/"), "do not monitor the service of REDIS_URL"),
        (
            url.replace("sentinel_password=", "sentinel_password=s3cret"),
            "the sentinels of Redis refuse the credentials",
        ),
        (url.replace("://:", "://:s3cret"), "Redis refuses the credentials of REDIS_URL"),
        (url.replace(&format!("/{SERVICE}/0"), ""), "redis+sentinel://[user:password@]host1:26379"),
        (url.replace("sentinel_password", "sentinelpassword"), "an option that is not sentinel_username"),
    ] {
        let refused = run(Program::Jobs, &["worker"], system.jobs_settings().into_iter().chain([("REDIS_URL", wrong)]));
        assert_eq!(refused.status.code(), Some(1), "{refused:?}");
        assert!(refused.stderr.contains(message), "{message}: {refused:?}");
        assert!(!refused.stderr.contains("s3cret") && !refused.stderr.contains("password-of"), "{refused:?}");
    }
}
