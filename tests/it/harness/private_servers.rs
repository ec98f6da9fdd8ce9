//! PostgreSQL and Redis servers of a single test, which stops, kills, freezes or flushes them while programs use them.
//!
//! Redis is a child process of the test, since it starts quickly. PostgreSQL refuses to run as root and leaves child
//! processes behind when it is killed. `scripts/services` handles both: it starts the server, and removes it when the test
//! closes the pipe or dies.

use std::fs::Permissions;
use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::ops::Deref;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use nix::sys::signal::Signal;
use rand::Rng;
use redis::{FromRedisValue, RedisResult};
use sqlx::{Connection, Executor, PgConnection};

use super::certificate::CERTIFICATE;
use super::eventually;
use super::postgres_server::{PostgresServer, send_signal, services};

/// A Redis without persistence, which is empty after every restart, or a sentinel.
pub(crate) struct PrivateRedis {
    port: u16,
    tls: bool,
    password: Option<&'static str>,
    arguments: Vec<String>,
    server: Child,
}

impl PrivateRedis {
    pub(crate) async fn start() -> Self {
        Self::start_as(false, None, |port| server_arguments(port, false)).await
    }

    /// Accepts only TLS, with [`CERTIFICATE`].
    pub(crate) async fn start_with_tls() -> Self {
        Self::start_as(true, None, |port| server_arguments(port, true)).await
    }

    /// Starts it with the arguments for a port; `tls` and `password` are what they make it require.
    pub(crate) async fn start_as(
        tls: bool,
        password: Option<&'static str>,
        arguments: impl Fn(u16) -> Vec<String>,
    ) -> Self {
        loop {
            let port = unused_port();
            let arguments = arguments(port);
            let mut redis = Self { port, tls, password, server: spawn_redis(&arguments), arguments };
            // Redis exits if another process has taken the port meanwhile.
            if redis.is_ready().await {
                return redis;
            }
        }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn url(&self) -> String {
        format!("{}://127.0.0.1:{}", if self.tls { "rediss" } else { "redis" }, self.port)
    }

    fn client(&self) -> redis::Client {
        let url = self.url() + if self.tls { "/#insecure" } else { "" };
        let url = self.password.map_or(url.clone(), |password| url.replacen("://", &format!("://:{password}@"), 1));
        redis::Client::open(url).expect("a valid URL")
    }

    pub(crate) fn stop(&mut self) {
        self.end(Signal::SIGTERM);
    }

    pub(crate) fn kill(&mut self) {
        self.end(Signal::SIGKILL);
    }

    /// Starts it again on the same port.
    pub(crate) async fn restart(&mut self) {
        self.server = spawn_redis(&self.arguments);
        assert!(self.is_ready().await, "another process has taken port {}", self.port);
    }

    /// Stops it from responding, without closing connections.
    pub(crate) fn freeze(&self) {
        send_signal(self.server.id(), Signal::SIGSTOP);
    }

    pub(crate) fn unfreeze(&self) {
        send_signal(self.server.id(), Signal::SIGCONT);
    }

    pub(crate) async fn command<T: FromRedisValue>(&self, line: &str) -> T {
        let mut words = line.split(' ');
        let mut command = redis::cmd(words.next().unwrap_or_default());
        command.arg(words.collect::<Vec<_>>());
        let client = self.client();
        let attempt = async || {
            let mut connection = client.get_multiplexed_async_connection().await?;
            command.query_async(&mut connection).await
        };
        let sent: RedisResult<T> = match attempt().await {
            // Sentinels close all connections of a server whose role they change.
            Err(error) if error.is_connection_dropped() => attempt().await,
            sent => sent,
        };
        sent.unwrap_or_else(|error| panic!("{line}: {error}"))
    }

    /// A number from `INFO`. For a field of `commandstats`: the number of calls.
    pub(crate) async fn info(&self, section: &str, field: &str) -> u64 {
        let info: String = self.command(&format!("INFO {section}")).await;
        let value = info.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        let value = value.map(|value| value.strip_prefix("calls=").unwrap_or(value).split(',').next());
        value.flatten().and_then(|value| value.trim().parse().ok()).unwrap_or_else(|| panic!("no {field} in {info}"))
    }

    fn end(&mut self, signal: Signal) {
        send_signal(self.server.id(), signal);
        self.server.wait().expect("a child of this process");
    }

    /// Waits until it accepts connections (`true`) or has exited (`false`).
    async fn is_ready(&mut self) -> bool {
        let client = self.client();
        eventually("the private Redis to accept connections", || {
            let exited = self.server.try_wait().expect("a child of this process").is_some();
            let client = &client;
            async move {
                let accepts = client.get_multiplexed_async_connection().await.is_ok();
                (exited || accepts).then_some(!exited)
            }
        })
        .await
    }
}

impl Drop for PrivateRedis {
    fn drop(&mut self) {
        let _killed = self.server.kill();
        let _exited = self.server.wait();
    }
}

/// The arguments of a server that listens on `port` and stores nothing.
pub(crate) fn server_arguments(port: u16, tls: bool) -> Vec<String> {
    let mut arguments = listen_arguments(port, tls);
    arguments.extend(["--save", "", "--appendonly", "no"].map(str::to_owned));
    arguments
}

/// The arguments by which a server or a sentinel listens on `port`.
pub(crate) fn listen_arguments(port: u16, tls: bool) -> Vec<String> {
    let path = |path: &Path| path.display().to_string();
    let port = port.to_string();
    let mut arguments = if tls {
        let listen = ["--port", "0", "--tls-port", &port, "--tls-auth-clients", "no"].map(str::to_owned);
        let certificate = path(&CERTIFICATE.path);
        let files = ["--tls-cert-file", &certificate, "--tls-ca-cert-file", &certificate];
        let key = ["--tls-key-file".to_owned(), path(&CERTIFICATE.key)];
        listen.into_iter().chain(files.map(str::to_owned)).chain(key).collect()
    } else {
        vec!["--port".to_owned(), port]
    };
    arguments.extend(["--bind", "127.0.0.1"].map(str::to_owned));
    arguments
}

fn spawn_redis(arguments: &[String]) -> Child {
    let spawn = |program| {
        let mut command = Command::new(program);
        command.args(arguments).current_dir(std::env::temp_dir()).stdin(Stdio::null()).stdout(Stdio::null()).spawn()
    };
    let server = match spawn("redis-server") {
        Err(error) if error.kind() == ErrorKind::NotFound => spawn("valkey-server"),
        other => other,
    };
    server.expect("Redis is installed: run `make setup`")
}

/// A free port below the ephemeral range. While the server is down, a program that connects to a port of the ephemeral
/// range may get the same number as its own source port, and is then connected to itself.
fn unused_port() -> u16 {
    loop {
        let port = rand::rng().random_range(15_000..30_000);
        if std::net::TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// The exit code of `scripts/services` if it may not mount a file system.
const MOUNT_NOT_ALLOWED: i32 = 77;

/// A PostgreSQL with an empty database. It keeps what was committed across restarts.
pub(crate) struct PrivatePostgres {
    /// Runs until its standard input is closed, and then removes the server.
    owner: Child,
    server: PostgresServer,
    replica: Option<PostgresServer>,
    pub(crate) url: String,
}

impl PrivatePostgres {
    pub(crate) async fn start() -> Self {
        Self::start_with(&[]).await.expect("the server starts")
    }

    /// With a streaming replica.
    pub(crate) async fn start_with_replica() -> Self {
        Self::start_with(&["--replica"]).await.expect("the servers start")
    }

    pub(crate) fn replica(&self) -> &PostgresServer {
        self.replica.as_ref().expect("it was started with a replica")
    }

    /// On a file system with `mib` MiB, which a test can fill. `None`, with the reason on standard error, if this machine does
    /// not allow tests to mount one.
    pub(crate) async fn start_on_disk(mib: u32) -> Option<Self> {
        let server = Self::start_with(&["--disk", &mib.to_string()]).await;
        if server.is_none() {
            eprintln!("SKIPPED: this test needs root and the right to mount a file system");
        }
        server
    }

    async fn start_with(options: &[&str]) -> Option<Self> {
        let print_settings = r#"printf '%s\n' "$DATABASE_URL" "${DATABASE_READ_URL:-}" "$PSP_SERVICES_DIR"; exec cat"#;
        let arguments = [&["run"], options, &["--", "sh", "-c", print_settings]].concat();
        let mut command = services(&arguments);
        let starting = move || {
            let mut owner = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("scripts/services");
            let output = BufReader::new(owner.stdout.take().expect("stdout is piped"));
            let mut lines = output.lines().map_while(Result::ok);
            let Some(((url, read_url), folder)) = lines.next().zip(lines.next()).zip(lines.next()) else {
                assert_eq!(owner.wait().expect("a child of this process").code(), Some(MOUNT_NOT_ALLOWED));
                return None;
            };
            let server = |name, url: &str| PostgresServer::new(name, folder.clone().into(), url);
            let replica = (!read_url.is_empty()).then(|| server("replica", &read_url));
            Some(Self { owner, server: server("postgres", &url), replica, url })
        };
        tokio::task::spawn_blocking(starting).await.expect("the server starts")
    }

    /// Fills its file system, with room left only in the segments of its log: a server that finds none for its log stops, and cannot
    /// say that the disk is full. [`Self::empty_disk`] undoes it.
    pub(crate) async fn fill_disk(&self) {
        let mut superuser = self.connect_as_superuser().await;
        for statement in ["SELECT pg_switch_wal()", "CHECKPOINT"] {
            superuser.execute(statement).await.expect("a superuser may");
        }
        let mut ballast = std::fs::File::create(self.ballast()).expect("root can write");
        for block in [1 << 20, 1 << 12] {
            while ballast.write_all(&vec![0; block]).is_ok() {}
        }
    }

    pub(crate) fn empty_disk(&self) {
        std::fs::remove_file(self.ballast()).expect("it was filled");
    }

    fn ballast(&self) -> PathBuf {
        self.folder().join("postgres/ballast")
    }

    /// Makes it offer TLS, with [`CERTIFICATE`].
    pub(crate) async fn enable_tls(&self) {
        let data = self.folder().join("postgres/data");
        let owner = std::fs::metadata(&data).expect("a server that was started");
        for (name, source) in [("server.crt", &CERTIFICATE.path), ("server.key", &CERTIFICATE.key)] {
            let path = data.join(name);
            std::fs::copy(source, &path).expect("root, or the owner of the server, can write");
            std::fs::set_permissions(&path, Permissions::from_mode(0o600)).expect("our own file");
            chown(&path, Some(owner.uid()), Some(owner.gid())).expect("our own file");
        }
        let mut superuser = self.connect_as_superuser().await;
        superuser.execute("ALTER SYSTEM SET ssl = on").await.expect("a superuser may");
        superuser.execute("SELECT pg_reload_conf()").await.expect("a superuser may");
        eventually("the server to offer TLS", || async {
            PgConnection::connect(&format!("{}?sslmode=require", self.url)).await.ok()
        })
        .await;
    }
}

impl Deref for PrivatePostgres {
    type Target = PostgresServer;

    fn deref(&self) -> &PostgresServer {
        &self.server
    }
}

impl Drop for PrivatePostgres {
    fn drop(&mut self) {
        // A frozen process handles no other signal.
        for server in self.replica.iter().chain([&self.server]) {
            server.try_unfreeze();
        }
        drop(self.owner.stdin.take());
        let _exited = self.owner.wait();
    }
}
