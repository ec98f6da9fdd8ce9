//! The program around jobs: its commands, whatever kinds of job it is made of.
//!
//! `psp-jobs` is this program with the kinds of production; the tests' own is the same program with kinds that production
//! must never know. So what the tests kill is what runs in production.

use std::collections::BTreeSet;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::builder::PossibleValuesParser;
use clap::{ArgMatches, Args, Command, FromArgMatches, Parser, Subcommand};
use psp_dashboard::clock::SystemClock;
use psp_dashboard::config::{ConfigError, Environment as Variables, JobsConfig, ReconciliationConfig, SyncConfig};
use psp_dashboard::db::jobs;
use psp_dashboard::domain::job::{JobId, JobKind, JobState, NewJob, REPLAY_QUARANTINE, Trigger};
use psp_dashboard::domain::replay::Replay;
use psp_dashboard::domain::sync::SyncArgs;
use psp_dashboard::operations::connect_servers::{connect_isolated_servers, connect_job_servers};
use psp_dashboard::operations::enqueue_job::enqueue_job;
use psp_dashboard::{shutdown, telemetry};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::environment::Environment;
use crate::handler::Registry;
use crate::quarantine_command::QuarantineArguments;
use crate::schedule::Entry;
use crate::scheduler::Scheduler;
use crate::worker::{WorkerSettings, run_suspects, run_worker};

/// What a program is made of.
#[derive(Clone, Copy)]
pub struct Program {
    /// The kinds of job it knows.
    pub kinds: &'static [&'static JobKind],
    /// Who runs them.
    pub registry: fn(&Arc<Environment>) -> Registry,
    /// What runs when.
    pub table: fn(&SyncConfig, &ReconciliationConfig) -> Vec<Entry>,
}

/// Runs the jobs of the payments dashboard: syncs of the providers, and what keeps house.
#[derive(Debug, Parser)]
#[command(name = "psp-jobs", version, about)]
struct Arguments {
    #[command(subcommand)]
    command: JobsCommand,
}

#[derive(Debug, Subcommand)]
enum JobsCommand {
    /// Run jobs, until told to stop. Any number of workers may run, on any number of machines.
    Worker(WorkerArguments),
    /// Enqueue what is due, until told to stop. Several may run: each tick is enqueued once.
    Scheduler,
    /// Enqueue one job and print its id.
    Enqueue(EnqueueArguments),
    /// Look at what could not be read, and have it read again.
    Quarantine(QuarantineArguments),
}

#[derive(Debug, Args)]
struct WorkerArguments {
    /// Only jobs of these queues (by commas).
    #[arg(long, value_delimiter = ',')]
    queues: Vec<String>,
    /// How many jobs run at a time (else `WORKER_CONCURRENCY`, else 8).
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    concurrency: Option<u32>,
    /// Also enqueue what is due, for a small host.
    #[arg(long)]
    scheduler: bool,
    /// Run the jobs whose worker died, one after another, and end when none is left or standard input is closed. A worker
    /// starts this by itself.
    #[arg(long, hide = true, conflicts_with = "scheduler")]
    alone: bool,
}

#[derive(Debug, Args)]
struct EnqueueArguments {
    /// The kind of job.
    #[arg(index = 1)]
    kind: String,
    /// Its arguments as JSON, for example '{"mode":"full"}' for a sync.
    #[arg(index = 2)]
    args: Option<String>,
    /// Queue one more behind a live one of the same kind and arguments, rather than join it.
    #[arg(long)]
    force: bool,
    /// Wait for it to end, print what came of it, and fail if it failed.
    #[arg(long)]
    wait: bool,
}

impl Program {
    /// Does what the command line says.
    pub async fn main(self) -> ExitCode {
        let matches = self.command_line().get_matches();
        match self.run(&matches).await {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("psp-jobs: {error}");
                ExitCode::FAILURE
            }
        }
    }

    /// The derived command line, with the kinds that this program knows.
    fn command_line(self) -> Command {
        let kinds = PossibleValuesParser::new(self.kinds.iter().map(|kind| kind.name));
        <Arguments as clap::CommandFactory>::command()
            .mut_subcommand("enqueue", |enqueue| enqueue.mut_arg("kind", |kind| kind.value_parser(kinds)))
    }

    async fn run(self, matches: &ArgMatches) -> anyhow::Result<()> {
        let Arguments { command } = Arguments::from_arg_matches(matches)?;
        let config = read_config()?;
        telemetry::start(&config.telemetry)?;
        let (pools, wire) = match &command {
            JobsCommand::Worker(arguments) if arguments.alone => connect_isolated_servers(&config.servers).await?,
            _ => connect_job_servers(&config.servers).await?,
        };
        let environment = Environment::new(pools, wire, Arc::new(SystemClock), &config)?;
        match command {
            JobsCommand::Worker(arguments) => self.work(&environment, arguments, &config).await,
            JobsCommand::Scheduler => {
                self.schedule(&environment, shutdown::on_signal()?).await;
                Ok(())
            }
            JobsCommand::Enqueue(arguments) => {
                let job_id = self.enqueue(&environment, &arguments).await?;
                println!("{job_id}");
                if arguments.wait { follow(&environment, job_id).await } else { Ok(()) }
            }
            JobsCommand::Quarantine(arguments) => arguments.run(&environment).await,
        }
    }

    async fn work(
        self,
        environment: &Arc<Environment>,
        arguments: WorkerArguments,
        config: &JobsConfig,
    ) -> anyhow::Result<()> {
        let stop = shutdown::on_signal()?;
        let settings = WorkerSettings {
            queues: self.checked_queues(arguments.queues)?,
            concurrency: arguments.concurrency.unwrap_or(config.worker.concurrency),
            rescue: config.worker.rescue,
            shutdown_grace: config.shutdown_grace,
            program: std::env::current_exe()?,
        };
        let registry = (self.registry)(environment);
        if arguments.alone {
            stop_with_standard_input(stop.clone());
            return Ok(run_suspects(environment, registry, &settings, &stop).await?);
        }
        let worker = run_worker(Arc::clone(environment), registry, settings, stop.clone());
        if arguments.scheduler {
            tokio::join!(worker, self.schedule(environment, stop));
        } else {
            worker.await;
        }
        Ok(())
    }

    async fn schedule(self, environment: &Environment, stop: CancellationToken) {
        let Environment { ledger, wire, clock, sync, reconciliation, .. } = environment;
        let scheduler = Scheduler { ledger: ledger.clone(), wire: wire.clone(), clock: Arc::clone(clock) };
        scheduler.run((self.table)(sync, reconciliation), stop).await;
    }

    fn checked_queues(self, queues: Vec<String>) -> anyhow::Result<Vec<String>> {
        let known: BTreeSet<&str> = self.kinds.iter().map(|kind| kind.queue).collect();
        if let Some(unknown) = queues.iter().find(|queue| !known.contains(queue.as_str())) {
            anyhow::bail!(
                "there is no queue \"{unknown}\"; the queues are {}",
                known.into_iter().collect::<Vec<_>>().join(", ")
            );
        }
        Ok(queues)
    }

    async fn enqueue(self, environment: &Environment, arguments: &EnqueueArguments) -> anyhow::Result<JobId> {
        let EnqueueArguments { kind, args, force, .. } = arguments;
        let kind = self.kinds.iter().find(|known| known.name == kind);
        let kind = kind.ok_or_else(|| anyhow::anyhow!("there is no such kind of job"))?;
        let job = NewJob { force: *force, ..new_job(kind, args.as_deref())? };
        Ok(enqueue_job(&environment.ledger, &environment.wire, &job).await?.job_id)
    }
}

/// Stops when standard input ends: whoever started us holds its other end, and has gone or wants us to go. A thread, for
/// the runtime would wait at its end for a read of its own.
fn stop_with_standard_input(stop: CancellationToken) {
    std::thread::spawn(move || {
        let _ended = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        stop.cancel();
    });
}

fn read_config() -> Result<JobsConfig, ConfigError> {
    let mut variables = Variables::of_process();
    let read = JobsConfig::read(&mut variables);
    variables.finish(read)
}

fn new_job(kind: &'static JobKind, args: Option<&str>) -> anyhow::Result<NewJob> {
    let unreadable = |error| {
        anyhow::anyhow!(
            "the arguments cannot be read ({error}); for example '{{\"mode\":\"incremental\"}}' for a sync, or \
             '{{\"source\":\"vima\"}}' for {}",
            REPLAY_QUARANTINE.name
        )
    };
    if let Some(source) = kind.source() {
        let args: SyncArgs = args.map_or(Ok(SyncArgs::Incremental), serde_json::from_str).map_err(unreadable)?;
        if let Some((from, to)) = args.days().filter(|(from, to)| from > to) {
            anyhow::bail!("from_date {from} is after to_date {to}: no day would be read");
        }
        return Ok(NewJob::sync(source, &args, Trigger::Cli));
    }
    if *kind == REPLAY_QUARANTINE {
        let replay = args.map_or(Ok(Replay::All), serde_json::from_str).map_err(unreadable)?;
        return Ok(NewJob::replay(replay, Trigger::Cli));
    }
    let args: Value = args.map_or(Ok(json!({})), serde_json::from_str).map_err(unreadable)?;
    Ok(NewJob::with_args(kind, args, Trigger::Cli))
}

/// Waits for a job to end, and prints what came of it.
pub(crate) async fn follow(environment: &Environment, job_id: JobId) -> anyhow::Result<()> {
    let mut looks = tokio::time::interval(Duration::from_millis(200));
    loop {
        looks.tick().await;
        let Some(job) = jobs::find_glance(&environment.ledger, job_id).await? else {
            anyhow::bail!("the job {job_id} is gone: it was cleared away while it was being followed");
        };
        match job.state {
            JobState::Succeeded => {
                println!("{}", job.result.unwrap_or_default());
                return Ok(());
            }
            JobState::Failed | JobState::Cancelled => {
                anyhow::bail!("the job {}: {}", job.state.as_str(), job.error.unwrap_or_default());
            }
            JobState::Queued | JobState::Scheduled | JobState::Running | JobState::Retrying => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use psp_dashboard::domain::job::SYNC_VIMA;

    #[test]
    fn arguments_are_read_or_refused_before_anything_is_enqueued() {
        for (args, expected) in [
            (None, Ok(r#"{"mode":"incremental"}"#)),
            (Some(r#"{"mode":"full"}"#), Ok(r#"{"mode":"full"}"#)),
            (Some(r#"{"mode":"range","from_date":"2026-01-02","to_date":"2026-01-01"}"#), Err("after to_date")),
            (Some(r#"{"mode":"range","from_date":"2026-01-02"}"#), Err("to_date")),
            (Some(r#"{"mode":"sideways"}"#), Err("incremental")),
            (Some("{"), Err("cannot be read")),
        ] {
            match (new_job(&SYNC_VIMA, args), expected) {
                (Ok(job), Ok(expected)) => assert_eq!(job.args.to_string(), expected),
                (Err(error), Err(told)) => assert!(error.to_string().contains(told), "{error}"),
                (job, expected) => panic!("{args:?}: {job:?}, expected {expected:?}"),
            }
        }
    }
}
