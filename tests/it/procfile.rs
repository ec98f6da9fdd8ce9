//! The Procfile, executed by a runner of Procfiles as a host would.

use std::time::Duration;

use nix::sys::signal::Signal;
use reqwest::Method;

use crate::harness::eventually;
use crate::harness::programs::{Program, RunningProgram, free_port, run};
use crate::harness::servers::Servers;
use crate::harness::test_system::{ADMIN, TestSystem, Web};

const PROCFILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/Procfile");

#[tokio::test]
async fn procfile_migrates_and_runs_the_whole_system() {
    let system = TestSystem::start_on(Servers::start_empty().await, &[]).await;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let folder = folder.path().to_str().expect("a textual path");
    let programs = Program::Psp.path().parent().expect("a folder").display().to_string();
    let settings = || {
        let path = ("PATH", format!("{programs}:/usr/local/bin:/usr/bin:/bin"));
        system.settings().into_iter().chain([path, ("HOST", "127.0.0.1".to_owned())])
    };
    // An empty folder has no .env that would replace the settings.
    let options = ["--app-root", folder, "--procfile", PROCFILE];

    let release = run(Program::Honcho, &[&["start"], &options[..], &["release"]].concat(), settings());
    assert!(release.status.success() && release.stdout.contains("all migrations are applied"), "{release:?}");

    let port = free_port();
    let text = port.to_string();
    let arguments = [&["start"], &options[..], &["--port", &text, "web", "worker", "scheduler"]].concat();
    let program = RunningProgram::start(Program::Honcho, &arguments, settings());
    let mut web = Web::at(program, port);
    web.wait_until_ready().await;
    system.wait_until_first_sync().await;
    system.wait_until_idle().await;
    let status = web.request(Method::GET, "/api/v1/sync/status", Some(ADMIN), None).await.expect("a response");
    assert_eq!(status.status, 200, "{status:?}");

    web.program.signal(Signal::SIGTERM);
    web.program.wait_for_exit(Duration::from_secs(30)).await;
    // The runner reports the end of the shells that it has started, not that of the programs.
    let output = web.program.output();
    assert_eq!(output.matches("shutdown requested").count(), 3, "{output}");
    assert!(output.contains("web process stopped"), "{output}");
    eventually("worker and scheduler to have deregistered", || async {
        (system.number("SELECT count(*) FROM processes").await == 0).then_some(())
    })
    .await;
}
