//! Starts, stops and kills the built programs as processes, and collects their output.

use std::io::Read;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use uuid::Uuid;

use super::eventually;

/// The credentials of all tests. No program ever writes one.
pub(crate) const CREDENTIALS: [&str; 8] = [
    super::test_system::ADMIN,
    super::test_system::OPERATOR,
    super::test_system::VIEWER,
    super::test_system::WEBHOOK_KEY,
    super::notification_channels::TELEGRAM_TOKEN,
    super::notification_channels::SMTP_PASSWORD,
    "sandbox-vima-key",
    "sandbox-password",
];

/// The variables that shift the clock of a program (`scripts/test`, `make test AT=`).
const CLOCK_VARIABLES: [&str; 2] = ["LD_PRELOAD", "PSP_CLOCK_SHIFT_SECONDS"];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Program {
    Psp,
    Jobs,
    Sandbox,
    /// `psp-test-jobs`: `psp-jobs` with job kinds that exist only for tests.
    TestJobs,
    /// `psp` of the previous release, which `scripts/previous-release` builds.
    PreviousPsp,
    /// `psp-jobs` of the previous release.
    PreviousJobs,
    /// Runs a Procfile; `scripts/setup --python` installs it.
    Honcho,
}

impl Program {
    /// Cargo only passes the path of `psp`. The other programs are in the same folder.
    pub(crate) fn path(self) -> PathBuf {
        let psp = PathBuf::from(env!("CARGO_BIN_EXE_psp"));
        match self {
            Self::Psp => psp,
            Self::Jobs => psp.with_file_name("psp-jobs"),
            Self::Sandbox => psp.with_file_name("psp-sandbox"),
            Self::TestJobs => psp.with_file_name("psp-test-jobs"),
            Self::PreviousPsp => psp.with_file_name("../upgrade/programs/psp"),
            Self::PreviousJobs => psp.with_file_name("../upgrade/programs/psp-jobs"),
            Self::Honcho => PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/.tools/python/bin/honcho")),
        }
    }

    /// The command inherits only the shifted clock, so that no setting of this machine changes a test.
    #[expect(clippy::disallowed_methods, reason = "the caller of the tests chooses the clock")]
    pub(crate) fn command<'a>(
        self,
        arguments: &[&str],
        settings: impl IntoIterator<Item = (&'a str, String)>,
    ) -> Command {
        let path = self.path();
        assert!(path.exists(), "{} is missing: run the tests with `make test`", path.display());
        let mut command = Command::new(path);
        command.args(arguments).env_clear().envs(settings).current_dir(std::env::temp_dir()).stdin(Stdio::null());
        command.envs(CLOCK_VARIABLES.iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
        command
    }
}

/// The result of a program that has exited.
#[derive(Debug)]
pub(crate) struct Output {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Runs a program until it exits.
pub(crate) fn run<'a>(
    program: Program,
    arguments: &[&str],
    settings: impl IntoIterator<Item = (&'a str, String)>,
) -> Output {
    let output = program.command(arguments, settings).output().expect("the program starts");
    Output {
        status: output.status,
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// A running program. It is killed when dropped.
pub(crate) struct RunningProgram {
    child: Child,
    output: Arc<Mutex<String>>,
}

impl RunningProgram {
    pub(crate) fn start<'a>(
        program: Program,
        arguments: &[&str],
        settings: impl IntoIterator<Item = (&'a str, String)>,
    ) -> Self {
        let mut command = program.command(arguments, settings);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts");
        let output = Arc::default();
        collect_output(child.stdout.take().expect("stdout is piped"), Arc::clone(&output));
        collect_output(child.stderr.take().expect("stderr is piped"), Arc::clone(&output));
        Self { child, output }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Everything that it has written to stdout and stderr so far.
    pub(crate) fn output(&self) -> String {
        self.output.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until a worker runs, and returns the name under which it claims jobs, as it logs it.
    pub(crate) async fn worker_name(&self) -> String {
        eventually("the worker to run", || async {
            let output = self.output();
            let from = output.find("worker-")?;
            output.get(from..from + "worker-".len() + Uuid::nil().hyphenated().to_string().len()).map(str::to_owned)
        })
        .await
    }

    pub(crate) fn memory_mib(&self, memory: Memory) -> f64 {
        memory_mib_of(self.id(), memory)
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.id()).expect("a process id"));
        kill(pid, signal).expect("a child of this process");
    }

    pub(crate) fn kill(&mut self) {
        self.signal(Signal::SIGKILL);
        self.child.wait().expect("a child of this process");
    }

    pub(crate) fn has_exited(&mut self) -> bool {
        self.child.try_wait().expect("a child of this process").is_some()
    }

    /// Waits until it exits, and asserts that this took at most `limit`.
    pub(crate) async fn wait_for_exit(&mut self, limit: Duration) -> ExitStatus {
        let started = tokio::time::Instant::now();
        let status = eventually("the program to exit", || {
            let status = self.child.try_wait().expect("a child of this process");
            async move { status }
        })
        .await;
        assert!(started.elapsed() <= limit, "it took {:?} to exit; its output: {}", started.elapsed(), self.output());
        status
    }
}

/// Which memory usage of a process.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Memory {
    /// What is resident now.
    Resident,
    /// The most that was ever resident.
    Peak,
}

/// The memory usage of a process, which must be running.
pub(crate) fn memory_mib_of(process: u32, memory: Memory) -> f64 {
    let field = match memory {
        Memory::Resident => "VmRSS:",
        Memory::Peak => "VmHWM:",
    };
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).expect("this is Linux");
    let line = status.lines().find_map(|line| line.strip_prefix(field)).expect(field);
    let kib: f64 = line.trim().trim_end_matches("kB").trim().parse().expect("a number of KiB");
    kib / 1024.0
}

impl Drop for RunningProgram {
    /// Prints the end of the output if the test fails; otherwise asserts that it contains no credentials.
    fn drop(&mut self) {
        let _killed = self.child.kill();
        let _exited = self.child.wait();
        let output = self.output();
        if std::thread::panicking() {
            let from = output.len().saturating_sub(6_000);
            let tail =
                output.char_indices().find(|(index, _)| *index >= from).map_or("", |(index, _)| &output[index..]);
            eprintln!("--- end of the program's output ---\n{tail}\n---");
        } else {
            let found = CREDENTIALS.iter().find(|credential| output.contains(**credential));
            assert!(found.is_none(), "a program writes {found:?} into its log");
        }
    }
}

fn collect_output(mut from: impl Read + Send + 'static, into: Arc<Mutex<String>>) {
    std::thread::spawn(move || {
        let mut buffer = [0; 8192];
        while let Ok(count @ 1..) = from.read(&mut buffer) {
            into.lock().unwrap_or_else(PoisonError::into_inner).push_str(&String::from_utf8_lossy(&buffer[..count]));
        }
    });
}

pub(crate) fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("a bound socket").port()
}
