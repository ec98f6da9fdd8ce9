//! Issued API keys, created as an operator creates them.

use super::programs::{Program, run};
use super::test_system::TestSystem;

/// Creates a key (`psp keys create`) with this role and these projects, and returns it.
pub(crate) fn create_key(system: &TestSystem, role: &str, projects: &[&str]) -> String {
    let mut arguments = vec!["keys", "create", "--name", "made by a test", "--role", role];
    arguments.extend(projects.iter().flat_map(|project| ["--project", project]));
    let output = run(Program::Psp, &arguments, system.settings());
    assert!(output.status.success(), "{output:?}");
    output.stdout.trim().to_owned()
}
