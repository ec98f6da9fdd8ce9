//! Servers that one test has for itself: to stop, kill, freeze and flush while programs use them.
//!
//! A Redis is a child of the test, for it starts in no time. PostgreSQL refuses to run as root and leaves children of its
//! own behind when it is killed, which `scripts/services` knows to deal with: it is asked for a server, and removes it when
//! the test closes the pipe or dies.

use std::io::{BufRead, BufReader, ErrorKind};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rand::Rng;
use redis::FromRedisValue;

use super::eventually;

/// A Redis of one test.
pub(crate) struct PrivateRedis {
    port: u16,
    server: Child,
}

impl PrivateRedis {
    /// Starts one on a free port.
    pub(crate) async fn start() -> Self {
        loop {
            let port = quiet_port();
            let mut redis = Self { port, server: spawn_redis(port) };
            // Somebody may have taken the port since: this one ends then.
            if redis.listens().await {
                return redis;
            }
        }
    }

    /// Its address.
    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Stops it in good order; it forgets everything all the same, for it writes nothing down.
    pub(crate) fn stop(&mut self) {
        self.end(Signal::SIGTERM);
    }

    /// Kills it.
    pub(crate) fn kill(&mut self) {
        self.end(Signal::SIGKILL);
    }

    /// Starts it again, empty, on the same port.
    pub(crate) async fn start_again(&mut self) {
        self.server = spawn_redis(self.port);
        assert!(self.listens().await, "nobody else has taken port {}", self.port);
    }

    /// Lets it answer nobody, without closing a connection.
    pub(crate) fn freeze(&self) {
        signal(self.server.id(), Signal::SIGSTOP);
    }

    /// Lets it go on after [`Self::freeze`].
    pub(crate) fn thaw(&self) {
        signal(self.server.id(), Signal::SIGCONT);
    }

    /// What it answers to a command.
    pub(crate) async fn ask<T: FromRedisValue>(&self, command: &str) -> T {
        let mut words = command.split(' ');
        let mut asked = redis::cmd(words.next().unwrap_or_default());
        asked.arg(words.collect::<Vec<_>>());
        let client = redis::Client::open(self.url()).expect("an address");
        let mut connection = client.get_multiplexed_async_connection().await.expect("the server runs");
        asked.query_async(&mut connection).await.unwrap_or_else(|error| panic!("{command}: {error}"))
    }

    /// A number of its `INFO`: of a command, how often it was called.
    pub(crate) async fn info(&self, section: &str, field: &str) -> u64 {
        let info: String = self.ask(&format!("INFO {section}")).await;
        let value = info.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        let value = value.map(|value| value.strip_prefix("calls=").unwrap_or(value).split(',').next());
        value.flatten().and_then(|value| value.trim().parse().ok()).unwrap_or_else(|| panic!("no {field} in {info}"))
    }

    fn end(&mut self, how: Signal) {
        signal(self.server.id(), how);
        self.server.wait().expect("the server is ours");
    }

    /// Waits until it answers, or has ended.
    async fn listens(&mut self) -> bool {
        let client = redis::Client::open(self.url()).expect("an address");
        eventually("the private Redis to answer", || {
            let ended = self.server.try_wait().expect("the server is ours").is_some();
            let client = &client;
            async move {
                let answers = client.get_multiplexed_async_connection().await.is_ok();
                (ended || answers).then_some(!ended)
            }
        })
        .await
    }
}

impl Drop for PrivateRedis {
    fn drop(&mut self) {
        let _killed = self.server.kill();
        let _ended = self.server.wait();
    }
}

fn spawn_redis(port: u16) -> Child {
    let port = port.to_string();
    let arguments = ["--port", &port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"];
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

/// A port that nothing listens on, below the range that systems give to outgoing connections: while the server is away, a
/// program that knocks at a port of that range may be given the same one, and then talks to itself.
fn quiet_port() -> u16 {
    loop {
        let port = rand::rng().random_range(15_000..30_000);
        if std::net::TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// A PostgreSQL of one test.
pub(crate) struct PrivatePostgres {
    /// Ends when its standard input does, and takes the server along.
    owner: Child,
    folder: PathBuf,
    /// The address of its database.
    pub(crate) url: String,
}

impl PrivatePostgres {
    /// Starts one on a free port, with an empty database.
    pub(crate) async fn start() -> Self {
        tokio::task::spawn_blocking(|| {
            let say_where = r#"printf '%s\n' "$DATABASE_URL" "$PSP_SERVICES_DIR"; exec cat"#;
            let mut command = services(&["run", "--", "sh", "-c", say_where]);
            let mut owner = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("a script");
            let said = BufReader::new(owner.stdout.take().expect("piped"));
            let mut lines = said.lines().map_while(Result::ok);
            let url = lines.next().expect("the server starts");
            let folder = PathBuf::from(lines.next().expect("the server starts"));
            Self { owner, folder, url }
        })
        .await
        .expect("the server starts")
    }

    /// Stops it; whoever is connected is told to go.
    pub(crate) async fn stop(&self) {
        self.run_services("stop").await;
    }

    /// Kills it.
    pub(crate) fn kill(&self) {
        signal(self.id(), Signal::SIGKILL);
    }

    /// Starts it again, with all that it had committed, on the same port.
    pub(crate) async fn start_again(&self) {
        self.run_services("start").await;
    }

    /// Lets it answer nobody, without closing a connection.
    pub(crate) fn freeze(&self) {
        // The father first, so that no child is born meanwhile.
        signal(self.id(), Signal::SIGSTOP);
        self.children().into_iter().for_each(|child| signal(child, Signal::SIGSTOP));
    }

    /// Lets it go on after [`Self::freeze`].
    pub(crate) fn thaw(&self) {
        self.children().into_iter().for_each(|child| signal(child, Signal::SIGCONT));
        signal(self.id(), Signal::SIGCONT);
    }

    fn id(&self) -> u32 {
        let id = std::fs::read_to_string(self.folder.join("postgres.pid")).expect("a server that was started");
        id.trim().parse().expect("a process id")
    }

    fn children(&self) -> Vec<u32> {
        let listed = Command::new("pgrep").args(["-P", &self.id().to_string()]).output().expect("pgrep is installed");
        String::from_utf8_lossy(&listed.stdout).lines().filter_map(|line| line.parse().ok()).collect()
    }

    async fn run_services(&self, action: &'static str) {
        let mut command = services(&[action, "postgres"]);
        command.env("PSP_SERVICES_DIR", &self.folder);
        let ended = tokio::task::spawn_blocking(move || command.status()).await.expect("no panic");
        assert!(ended.expect("a script").success(), "scripts/services {action} postgres");
    }
}

impl Drop for PrivatePostgres {
    fn drop(&mut self) {
        // Whoever is frozen hears nothing.
        for process in self.children().into_iter().chain([self.id()]) {
            let _continued = try_signal(process, Signal::SIGCONT);
        }
        drop(self.owner.stdin.take());
        let _ended = self.owner.wait();
    }
}

/// `scripts/services`, which would lend the servers of all tests to whoever knows their addresses.
fn services(arguments: &[&str]) -> Command {
    let mut command = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/services"));
    command.args(arguments).env_remove("DATABASE_URL").env_remove("REDIS_URL").stdin(Stdio::null());
    command
}

fn signal(process: u32, signal: Signal) {
    try_signal(process, signal).unwrap_or_else(|error| panic!("{signal} to {process}: {error}"));
}

fn try_signal(process: u32, signal: Signal) -> nix::Result<()> {
    kill(Pid::from_raw(i32::try_from(process).expect("a process id")), signal)
}
