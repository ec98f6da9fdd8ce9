//! How many connections each process uses.
//!
//! The defaults of one process of each kind, with its child processes, add up to [`SMALL_PLAN`], which the smallest plans of
//! database hosts allow. A process opens connections only when it needs them, and hardly ever needs all of them.

use crate::domain::job::SuspectLength;

/// The number of connections for which the defaults are made.
pub const SMALL_PLAN: u32 = 20;

/// Requests of the API rarely keep a second connection for authentication and health busy.
const MAX_ACCESS: u32 = 2;
/// The statements of the jobs table are short: they need no more connections than this.
const MAX_QUEUE: u32 = 4;

/// A process, as far as its connections are concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Process {
    Web,
    Worker,
    /// A child process of a worker, which runs a suspect.
    Isolated,
    /// A scheduler, and the commands that enqueue jobs.
    Scheduler,
    /// Migrations and other commands.
    Command,
}

impl Process {
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Web => "psp web",
            Self::Worker => "psp-jobs worker",
            Self::Isolated => "psp-jobs worker --isolated",
            Self::Scheduler => "psp-jobs scheduler",
            Self::Command => "a command",
        }
    }

    /// The least that it needs to make progress.
    #[must_use]
    pub fn min_connections(self) -> u32 {
        match self {
            // Web: authentication and health, and a request beside an export. Isolated: the jobs table, and an export, which holds
            // its snapshot while it stores its file.
            Self::Web | Self::Isolated => 3,
            Self::Worker => 4,
            Self::Scheduler => 1,
            // Migrations, and the lock that they hold.
            Self::Command => 2,
        }
    }

    /// The most that it uses if `DATABASE_MAX_CONNECTIONS` has this value. The setting does not concern processes that never need
    /// more than a few.
    #[must_use]
    pub fn max_connections(self, setting: Option<u32>) -> u32 {
        match self {
            Self::Web => setting.unwrap_or(7),
            Self::Worker => setting.unwrap_or(6),
            Self::Isolated | Self::Scheduler | Self::Command => self.min_connections(),
        }
    }

    /// The connections of a web process for requests, and those for authentication and health.
    pub(in crate::db) fn divide_web(max: u32) -> (u32, u32) {
        let access = (max / 4).clamp(1, MAX_ACCESS);
        (max.saturating_sub(access).max(1), access)
    }

    /// The connections of a process with jobs for the jobs table, and those for the work of the jobs.
    pub(in crate::db) fn divide_jobs(max: u32) -> (u32, u32) {
        let queue = (max / 3).clamp(1, MAX_QUEUE);
        (queue, max.saturating_sub(queue).max(1))
    }
}

/// The processes of the smallest deployment with their numbers. A worker runs one child process for suspects of each length.
#[must_use]
pub fn smallest_deployment() -> [(Process, u32); 4] {
    let isolated = SuspectLength::ALL.map(|_| 1).into_iter().sum();
    [(Process::Web, 1), (Process::Worker, 1), (Process::Isolated, isolated), (Process::Scheduler, 1)]
}

/// The most connections of [`smallest_deployment`].
#[must_use]
pub fn connections_of_deployment(setting: Option<u32>) -> u32 {
    smallest_deployment().into_iter().map(|(process, number)| number * process.max_connections(setting)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_fit_a_small_plan() {
        assert_eq!(connections_of_deployment(None), SMALL_PLAN);
        for (process, _) in smallest_deployment() {
            assert!(process.max_connections(None) >= process.min_connections(), "{process:?}");
        }
    }

    #[test]
    fn connections_are_divided_without_remainder() {
        for (max, web, jobs) in [
            (3, (2, 1), (1, 2)),
            (6, (5, 1), (2, 4)),
            (7, (6, 1), (2, 5)),
            (10, (8, 2), (3, 7)),
            (50, (48, 2), (4, 46)),
        ] {
            assert_eq!((Process::divide_web(max), Process::divide_jobs(max)), (web, jobs), "{max}");
        }
    }
}
