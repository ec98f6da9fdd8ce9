//! The progress of commands: plain lines, or bars on a terminal.

use std::fs::File;
use std::io::Read;

use nix::pty::{Winsize, openpty};

use crate::harness::programs::{Program, run};
use crate::harness::servers::Servers;
use crate::harness::test_system::TestSystem;

#[tokio::test]
async fn commands_print_plain_lines_without_a_terminal() {
    let system = TestSystem::start(&[]).await;
    let _worker = system.start_jobs(&["worker"]);
    let synced = system.try_run_job("sync-vima", None);
    assert!(synced.status.success(), "{synced:?}");
    let lines: Vec<&str> = synced.stderr.lines().filter(|line| line.starts_with("sync-vima: ")).collect();
    assert!(lines.last().is_some_and(|line| line.ends_with("succeeded")), "{synced:?}");
    assert!(lines.len() < 10 && !synced.stderr.contains('\u{1b}'), "{synced:?}");
    let result: serde_json::Value =
        serde_json::from_str(synced.stdout.lines().last().unwrap_or_default()).expect("JSON");
    assert!(result.is_object(), "standard output has the id and the result only: {synced:?}");
    system.wait_until_idle().await;

    let checked = run(Program::Psp, &["check", "--rollups"], system.settings());
    assert!(checked.stdout.contains("ok    metrics: the rollups"), "{checked:?}");
    let lines: Vec<&str> = checked.stderr.lines().filter(|line| line.starts_with("rollups: ")).collect();
    let (first, last) = (lines.first().copied().unwrap_or_default(), lines.last().copied().unwrap_or_default());
    assert!(first.starts_with("rollups: 0 of ") && last.ends_with("days compared"), "{checked:?}");
}

#[tokio::test]
async fn migrations_log_lines_without_a_terminal_and_show_a_bar_on_one() {
    let servers = Servers::start_empty().await;
    let settings = || [("DATABASE_URL", servers.database_url.clone()), ("TERM", "xterm".to_owned())];
    let on_terminal = run_on_terminal(Program::Psp, &["migrate"], settings());
    assert!(on_terminal.contains("migrations [") && on_terminal.contains(" of "), "{on_terminal}");
    assert!(on_terminal.contains("all migrations are applied"), "log lines are beside the bar: {on_terminal}");
    let servers = Servers::start_empty().await;
    let plain = run(Program::Psp, &["migrate"], [("DATABASE_URL", servers.database_url.clone())]);
    assert!(
        plain.stderr.contains("\"message\":\"applying a migration\"") && plain.stderr.contains("\"missing\":"),
        "{plain:?}"
    );
    assert!(!plain.stderr.contains('\u{1b}'), "{plain:?}");
}

/// Runs a program with a pseudo-terminal as its standard error, and returns what the terminal received.
fn run_on_terminal<'a>(
    program: Program,
    arguments: &[&str],
    settings: impl IntoIterator<Item = (&'a str, String)>,
) -> String {
    let size = Winsize { ws_row: 24, ws_col: 120, ws_xpixel: 0, ws_ypixel: 0 };
    let terminal = openpty(&size, None).expect("a pseudo-terminal");
    let mut command = program.command(arguments, settings);
    let mut child = command.stderr(terminal.slave).spawn().expect("the program starts");
    // The command still holds the terminal, which would never end.
    drop(command);
    let mut received = vec![];
    // Linux reports the end of a terminal as an error.
    let _ended = File::from(terminal.master).read_to_end(&mut received);
    let status = child.wait().expect("a child of this process");
    let received = String::from_utf8_lossy(&received).into_owned();
    assert!(status.success(), "{received}");
    received
}
