//! The built programs, as processes: started, watched, stopped and killed for real.

use std::io::Read;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::eventually;

/// What sets the clock of a program (`scripts/test`).
const CLOCK: [&str; 2] = ["LD_PRELOAD", "PSP_CLOCK_SHIFT_SECONDS"];

/// A program of this workspace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Program {
    /// `psp`
    Psp,
    /// `psp-jobs`
    Jobs,
    /// `psp-sandbox`
    Sandbox,
    /// `psp-test-jobs`: `psp-jobs` with kinds of job that exist only for tests.
    Trial,
}

impl Program {
    /// Where it was built: beside the program of the package that the tests belong to.
    pub(crate) fn path(self) -> PathBuf {
        let psp = PathBuf::from(env!("CARGO_BIN_EXE_psp"));
        match self {
            Self::Psp => psp,
            Self::Jobs => psp.with_file_name("psp-jobs"),
            Self::Sandbox => psp.with_file_name("psp-sandbox"),
            Self::Trial => psp.with_file_name("psp-test-jobs"),
        }
    }

    /// A command line that inherits nothing but the path and the clock (`make test AT=`), so that no setting of this machine
    /// leaks into a test.
    #[expect(clippy::disallowed_methods, reason = "which clock the tests go by is said by whoever started them")]
    pub(crate) fn command<'a>(
        self,
        arguments: &[&str],
        settings: impl IntoIterator<Item = (&'a str, String)>,
    ) -> Command {
        let path = self.path();
        assert!(path.exists(), "{} is not built: run the tests with `make test`", path.display());
        let mut command = Command::new(path);
        command.args(arguments).env_clear().envs(settings).current_dir(std::env::temp_dir()).stdin(Stdio::null());
        command.envs(CLOCK.iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
        command
    }
}

/// What a program said and how it ended.
#[derive(Debug)]
pub(crate) struct Ended {
    /// How.
    pub(crate) status: ExitStatus,
    /// What it printed.
    pub(crate) stdout: String,
    /// What it complained of.
    pub(crate) stderr: String,
}

/// Runs a program to its end.
pub(crate) fn run<'a>(
    program: Program,
    arguments: &[&str],
    settings: impl IntoIterator<Item = (&'a str, String)>,
) -> Ended {
    let output = program.command(arguments, settings).output().expect("the program can be started");
    Ended {
        status: output.status,
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// A program that runs; killed when it is dropped.
pub(crate) struct Running {
    child: Child,
    said: Arc<Mutex<String>>,
}

impl Running {
    /// Starts a program.
    pub(crate) fn start<'a>(
        program: Program,
        arguments: &[&str],
        settings: impl IntoIterator<Item = (&'a str, String)>,
    ) -> Self {
        let mut command = program.command(arguments, settings);
        let mut child =
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program can be started");
        let said = Arc::default();
        listen(child.stdout.take().expect("piped"), Arc::clone(&said));
        listen(child.stderr.take().expect("piped"), Arc::clone(&said));
        Self { child, said }
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Everything that it has said so far.
    pub(crate) fn said(&self) -> String {
        self.said.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.id()).expect("a process id"));
        kill(pid, signal).expect("the process is ours");
    }

    /// Kills it: no goodbye.
    pub(crate) fn kill(&mut self) {
        self.signal(Signal::SIGKILL);
        self.child.wait().expect("the process is ours");
    }

    /// Whether it has ended, by itself or not.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("the process is ours").is_some()
    }

    /// How it ended, once it has.
    pub(crate) async fn end(&mut self, within: Duration) -> ExitStatus {
        let started = tokio::time::Instant::now();
        let status = eventually("the program to end", || {
            let status = self.child.try_wait().expect("the process is ours");
            async move { status }
        })
        .await;
        assert!(started.elapsed() <= within, "it took {:?} to end; it said: {}", started.elapsed(), self.said());
        status
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _killed = self.child.kill();
        let _ended = self.child.wait();
        if std::thread::panicking() {
            let said = self.said();
            let from = said.len().saturating_sub(6_000);
            let tail = said.char_indices().find(|(place, _)| *place >= from).map_or("", |(place, _)| &said[place..]);
            eprintln!("--- the program said ---\n{tail}\n---");
        }
    }
}

fn listen(mut from: impl Read + Send + 'static, into: Arc<Mutex<String>>) {
    std::thread::spawn(move || {
        let mut buffer = [0; 8192];
        while let Ok(count @ 1..) = from.read(&mut buffer) {
            into.lock().unwrap_or_else(PoisonError::into_inner).push_str(&String::from_utf8_lossy(&buffer[..count]));
        }
    });
}

/// A port that nothing listens on.
pub(crate) fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port is free");
    listener.local_addr().expect("a bound socket").port()
}
