//! A PostgreSQL server of [`super::private_servers`], a primary or a replica: stopped, killed, frozen and promoted.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use url::Url;

/// A server that `scripts/services` has started.
pub(crate) struct PostgresServer {
    /// As `scripts/services` calls it.
    name: &'static str,
    folder: PathBuf,
    url: Url,
}

impl PostgresServer {
    pub(super) fn new(name: &'static str, folder: PathBuf, url: &str) -> Self {
        Self { name, folder, url: Url::parse(url).expect("a URL") }
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The address of a database of this server, given that of the same database of another one.
    pub(crate) fn url_of(&self, elsewhere: &str) -> String {
        let mut url = Url::parse(elsewhere).expect("a URL");
        url.set_port(self.url.port()).expect("a URL with a host");
        url.into()
    }

    pub(crate) async fn connect_as_superuser(&self) -> PgConnection {
        let password =
            std::fs::read_to_string(self.folder.join("postgres/superuser")).expect("a server that was started");
        let mut url = self.url.clone();
        url.set_username("postgres").and_then(|()| url.set_password(Some(password.trim()))).expect("a URL with a host");
        PgConnection::connect(url.as_str()).await.expect("the server runs")
    }

    /// Changes a setting of the server.
    pub(crate) async fn set(&self, setting: &str) {
        let mut superuser = self.connect_as_superuser().await;
        superuser.execute(AssertSqlSafe(format!("ALTER SYSTEM SET {setting}"))).await.expect("a superuser may");
        superuser.execute("SELECT pg_reload_conf()").await.expect("a superuser may");
    }

    /// Makes a replica a primary.
    pub(crate) async fn promote(&self) {
        self.run(&["promote"]).await;
    }

    /// Stops it, which closes all connections.
    pub(crate) async fn stop(&self) {
        self.run_services("stop").await;
    }

    pub(crate) fn kill(&self) {
        send_signal(self.id(), Signal::SIGKILL);
    }

    /// Starts it again on the same port.
    pub(crate) async fn restart(&self) {
        self.run_services("start").await;
    }

    /// Stops it from responding, without closing connections.
    pub(crate) fn freeze(&self) {
        // The parent first, so that it starts no further child.
        send_signal(self.id(), Signal::SIGSTOP);
        self.children().into_iter().for_each(|child| send_signal(child, Signal::SIGSTOP));
    }

    pub(crate) fn unfreeze(&self) {
        self.children().into_iter().for_each(|child| send_signal(child, Signal::SIGCONT));
        send_signal(self.id(), Signal::SIGCONT);
    }

    pub(crate) fn id(&self) -> u32 {
        let id =
            std::fs::read_to_string(self.folder.join(format!("{}.pid", self.name))).expect("a server that was started");
        id.trim().parse().expect("a process id")
    }

    pub(crate) fn children(&self) -> Vec<u32> {
        let output = Command::new("pgrep").args(["-P", &self.id().to_string()]).output().expect("pgrep is installed");
        String::from_utf8_lossy(&output.stdout).lines().filter_map(|line| line.parse().ok()).collect()
    }

    async fn run_services(&self, action: &'static str) {
        self.run(&[action, self.name]).await;
    }

    async fn run(&self, arguments: &[&str]) {
        let mut command = services(arguments);
        command.env("PSP_SERVICES_DIR", &self.folder);
        let status = tokio::task::spawn_blocking(move || command.status()).await.expect("no panic");
        assert!(status.expect("scripts/services").success(), "scripts/services {arguments:?}");
    }

    pub(super) fn try_unfreeze(&self) {
        for process in self.children().into_iter().chain([self.id()]) {
            let _continued = try_send_signal(process, Signal::SIGCONT);
        }
    }
}

/// `scripts/services` without `DATABASE_URL` and `REDIS_URL`, with which it would reuse the servers of all tests.
pub(super) fn services(arguments: &[&str]) -> Command {
    let mut command = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/services"));
    command.args(arguments).env_remove("DATABASE_URL").env_remove("REDIS_URL").stdin(Stdio::null());
    command
}

pub(super) fn send_signal(process: u32, signal: Signal) {
    try_send_signal(process, signal).unwrap_or_else(|error| panic!("{signal} to {process}: {error}"));
}

fn try_send_signal(process: u32, signal: Signal) -> nix::Result<()> {
    kill(Pid::from_raw(i32::try_from(process).expect("a process id")), signal)
}
