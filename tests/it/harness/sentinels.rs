//! Two Redis servers and the three sentinels that monitor them, of a single test.
//!
//! The servers and the sentinels have passwords of their own. A sentinel is the same program as a server, so nothing else has to be
//! installed.

use std::collections::HashMap;
use std::convert::Infallible;
use std::path::Path;

use tempfile::TempDir;

use super::eventually;
use super::private_servers::{PrivateRedis, listen_arguments, server_arguments};

/// The name under which the sentinels monitor the servers.
pub(crate) const SERVICE: &str = "psp";
const SERVER_PASSWORD: &str = "password-of-the-servers";
const SENTINEL_PASSWORD: &str = "password-of-the-sentinels";
/// How long a server does not answer until a sentinel takes it for dead. Shorter, a busy machine would cause failovers.
const DOWN_AFTER_MILLIS: u32 = 1_000;

pub(crate) struct MonitoredRedis {
    tls: bool,
    /// The first primary, and its first replica.
    pub(crate) servers: [PrivateRedis; 2],
    pub(crate) sentinels: Vec<PrivateRedis>,
    _folder: TempDir,
}

impl MonitoredRedis {
    pub(crate) async fn start() -> Self {
        Self::start_with(false).await
    }

    /// Servers and sentinels accept only TLS.
    pub(crate) async fn start_with_tls() -> Self {
        Self::start_with(true).await
    }

    /// Returns when the sentinels know each other and the replica.
    async fn start_with(tls: bool) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let start = || PrivateRedis::start_as(tls, Some(SERVER_PASSWORD), |port| replicated(port, tls, folder.path()));
        let servers = [start().await, start().await];
        let () = servers[1].command(&format!("REPLICAOF 127.0.0.1 {}", servers[0].port())).await;
        let mut sentinels = vec![];
        for _ in 0..3 {
            let arguments = |port| sentinel(port, tls, folder.path(), servers[0].port());
            sentinels.push(PrivateRedis::start_as(tls, Some(SENTINEL_PASSWORD), arguments).await);
        }
        let started = Self { tls, servers, sentinels, _folder: folder };
        started.wait_until_complete().await;
        started
    }

    /// As `REDIS_URL` has it.
    pub(crate) fn url(&self) -> String {
        let hosts: Vec<_> = self.sentinels.iter().map(|sentinel| format!("127.0.0.1:{}", sentinel.port())).collect();
        self.url_with(&hosts.join(","))
    }

    /// With these sentinels.
    pub(crate) fn url_with(&self, hosts: &str) -> String {
        let scheme = if self.tls { "rediss" } else { "redis" };
        format!("{scheme}+sentinel://:{SERVER_PASSWORD}@{hosts}/{SERVICE}/0?sentinel_password={SENTINEL_PASSWORD}")
    }

    /// Asks for a failover although the primary is well.
    pub(crate) async fn fail_over(&self) {
        let () = self.sentinels[0].command(&format!("SENTINEL FAILOVER {SERVICE}")).await;
    }

    /// Waits until the sentinels name the server with this index as the primary.
    pub(crate) async fn wait_for_primary(&self, index: usize) {
        let port = self.servers[index].port().to_string();
        eventually("the sentinels to promote the other server", || async {
            let command = format!("SENTINEL GET-MASTER-ADDR-BY-NAME {SERVICE}");
            let (_, named): (String, String) = self.sentinels[2].command(&command).await;
            (named == port).then_some(())
        })
        .await;
    }

    /// Waits until the server with this index follows the other one.
    pub(crate) async fn wait_for_replica(&self, index: usize) {
        eventually("the server to become a replica", || async {
            let info: String = self.servers[index].command("INFO replication").await;
            (info.contains("role:slave") && info.contains("master_link_status:up")).then_some(())
        })
        .await;
    }

    /// Kills one primary after another, and restarts it as the replica of the other.
    pub(crate) async fn fail_over_again_and_again(&mut self) -> Infallible {
        let mut primary = 0;
        loop {
            self.servers[primary].kill();
            let promoted = 1 - primary;
            self.wait_for_primary(promoted).await;
            self.servers[primary].restart().await;
            self.wait_for_replica(primary).await;
            primary = promoted;
        }
    }

    async fn wait_until_complete(&self) {
        self.wait_for_replica(1).await;
        for sentinel in &self.sentinels {
            eventually("the sentinels to know each other and the replica", || async {
                let master: HashMap<String, String> = sentinel.command(&format!("SENTINEL MASTER {SERVICE}")).await;
                let known = |field: &str| master.get(field).map(String::as_str);
                let complete = known("num-slaves") == Some("1") && known("num-other-sentinels") == Some("2");
                complete.then_some(())
            })
            .await;
        }
    }
}

fn replicated(port: u16, tls: bool, folder: &Path) -> Vec<String> {
    let mut arguments = server_arguments(port, tls);
    let folder = folder.display().to_string();
    let options = [
        ("--requirepass", SERVER_PASSWORD),
        ("--masterauth", SERVER_PASSWORD),
        ("--tls-replication", if tls { "yes" } else { "no" }),
        ("--repl-diskless-sync-delay", "0"),
        ("--dir", &folder),
        ("--dbfilename", &format!("{port}.rdb")),
    ];
    arguments.extend(options.into_iter().flat_map(|(name, value)| [name.to_owned(), value.to_owned()]));
    arguments
}

/// A sentinel keeps what it knows in its configuration file.
fn sentinel(port: u16, tls: bool, folder: &Path, primary: u16) -> Vec<String> {
    let file = folder.join(format!("sentinel-{port}.conf"));
    let configuration = [
        format!("requirepass {SENTINEL_PASSWORD}"),
        format!("sentinel sentinel-pass {SENTINEL_PASSWORD}"),
        format!("tls-replication {}", if tls { "yes" } else { "no" }),
        format!("sentinel monitor {SERVICE} 127.0.0.1 {primary} 2"),
        format!("sentinel auth-pass {SERVICE} {SERVER_PASSWORD}"),
        format!("sentinel down-after-milliseconds {SERVICE} {DOWN_AFTER_MILLIS}"),
        format!("sentinel failover-timeout {SERVICE} 5000"),
    ];
    std::fs::write(&file, configuration.join("\n") + "\n").expect("our own folder");
    let mut arguments = vec![file.display().to_string(), "--sentinel".to_owned()];
    arguments.extend(listen_arguments(port, tls));
    arguments
}
