//! A running script of a peer. It leads a process group, since some peers run jobs in processes of their own.

use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

pub(super) struct PeerProcess {
    child: Child,
    output: Arc<Mutex<String>>,
}

impl PeerProcess {
    pub(super) fn start(mut command: Command) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        let mut child = command.spawn().expect("scripts/peers starts");
        let output = Arc::default();
        collect(child.stdout.take().expect("stdout is piped"), Arc::clone(&output));
        collect(child.stderr.take().expect("stderr is piped"), Arc::clone(&output));
        Self { child, output }
    }

    /// Makes an `enqueuer` enqueue a job.
    pub(super) fn enqueue(&mut self) {
        let input = self.child.stdin.as_mut().expect("stdin is piped");
        input.write_all(b"\n").expect("the enqueuer runs");
    }

    /// The delays of the jobs that a `worker` has started, which prints `started <enqueued at> <started at>` for each.
    pub(super) fn delays(&self) -> Vec<Duration> {
        self.output().lines().filter_map(parse_delay).collect()
    }

    pub(super) fn kill(&mut self) {
        // Fails if it has ended by itself.
        let _killed = killpg(Pid::from_raw(i32::try_from(self.child.id()).expect("a process id")), Signal::SIGKILL);
        self.child.wait().expect("a child of this process");
    }

    fn output(&self) -> String {
        self.output.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// A line that is not complete yet has no second time, or one that is too short.
fn parse_delay(line: &str) -> Option<Duration> {
    let (enqueued_at, started_at) = line.strip_prefix("started ")?.split_once(' ')?;
    if enqueued_at.len() != started_at.len() {
        return None;
    }
    let micros = started_at.parse::<u64>().ok()?.saturating_sub(enqueued_at.parse().ok()?);
    Some(Duration::from_micros(micros))
}

fn collect(mut from: impl Read + Send + 'static, into: Arc<Mutex<String>>) {
    std::thread::spawn(move || {
        let mut buffer = [0; 8192];
        while let Ok(count @ 1..) = from.read(&mut buffer) {
            into.lock().unwrap_or_else(PoisonError::into_inner).push_str(&String::from_utf8_lossy(&buffer[..count]));
        }
    });
}

impl Drop for PeerProcess {
    /// Prints the end of the output if the measurement fails.
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            let output = self.output();
            let lines: Vec<&str> = output.lines().collect();
            let tail = lines[lines.len().saturating_sub(30)..].join("\n");
            eprintln!("--- end of the peer's output ---\n{tail}\n---");
        }
    }
}
