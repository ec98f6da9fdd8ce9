//! A PgBouncer of a single test, in front of the PostgreSQL of all tests.

use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;
use tokio::net::TcpStream;
use url::Url;

use super::eventually;
use super::programs::free_port;

pub(crate) struct PgBouncer {
    server: Child,
    port: u16,
    _folder: TempDir,
}

impl PgBouncer {
    /// Starts it with its default settings in front of the server of `database_url`, with this `pool_mode`.
    pub(crate) async fn start(database_url: &str, pool_mode: &str) -> Self {
        let postgres = Url::parse(database_url).expect("a URL");
        let folder = tempfile::tempdir().expect("a temporary folder");
        // PgBouncer refuses to run as root, and the other user must be able to read its files.
        let set_mode = |path, mode| std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode));
        set_mode(folder.path().to_owned(), 0o755).expect("our own folder");
        let is_root = folder.path().metadata().expect("our own folder").uid() == 0;
        let users = folder.path().join("users");
        let password = postgres.password().expect("a password");
        std::fs::write(&users, format!("\"{}\" \"{password}\"\n", postgres.username())).expect("our own folder");
        let (port, config) = (free_port(), folder.path().join("pgbouncer.ini"));
        let settings = format!(
            "[databases]\n* = host={} port={}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n\
             unix_socket_dir =\nauth_type = scram-sha-256\nauth_file = {}\npool_mode = {pool_mode}\n\
             default_pool_size = 60\n",
            postgres.host_str().expect("a host"),
            postgres.port().expect("a port"),
            users.display()
        );
        std::fs::write(&config, settings).expect("our own folder");
        let mut pgbouncer = Self { server: spawn(&config, is_root), port, _folder: folder };
        eventually("PgBouncer to accept connections", || {
            let exited = pgbouncer.server.try_wait().expect("a child of this process");
            assert_eq!(exited, None, "PgBouncer has stopped");
            async move { TcpStream::connect(("127.0.0.1", port)).await.ok() }
        })
        .await;
        pgbouncer
    }

    /// The URL of a database through PgBouncer.
    pub(crate) fn url(&self, database_url: &str) -> String {
        let mut url = Url::parse(database_url).expect("a URL");
        url.set_port(Some(self.port)).expect("a URL with a host");
        url.to_string()
    }
}

impl Drop for PgBouncer {
    fn drop(&mut self) {
        let _killed = self.server.kill();
        let _exited = self.server.wait();
    }
}

fn spawn(config: &Path, is_root: bool) -> Child {
    let spawn = |program| {
        let mut command = Command::new(program);
        if is_root {
            command.args(["-u", "nobody"]);
        }
        command.arg(config).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()
    };
    let server = match spawn("pgbouncer") {
        Err(error) if error.kind() == ErrorKind::NotFound => spawn("/usr/sbin/pgbouncer"),
        other => other,
    };
    server.expect("PgBouncer is installed: run `make setup`")
}
