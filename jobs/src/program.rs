//! The program around jobs: its commands, whatever kinds of job it is made of.
//!
//! `psp-jobs` is this program with the kinds of production; the tests' own is the same program with kinds that production
//! must never know. So what the tests kill is what runs in production.

use std::collections::BTreeSet;
use std::process::ExitCode;
use std::sync::Arc;

use clap::builder::PossibleValuesParser;
use clap::{ArgMatches, Args, Command, FromArgMatches, Parser, Subcommand};
use psp_dashboard::clock::SystemClock;
use psp_dashboard::config::{ConfigError, EnvVars, JobsConfig, ReconciliationConfig, SyncConfig};
use psp_dashboard::domain::job::JobKind;
use psp_dashboard::operations::connect_servers::{connect_isolated_servers, connect_job_servers};
use psp_dashboard::{shutdown, telemetry};
use tokio_util::sync::CancellationToken;

use crate::commands::enqueue::EnqueueArguments;
use crate::commands::quarantine::QuarantineArguments;
use crate::handler::Registry;
use crate::job_context::JobContext;
use crate::scheduler::Scheduler;
use crate::scheduler::table::Entry;
use crate::worker::{WorkerSettings, run_suspects, run_worker};

/// What a program is made of.
#[derive(Clone, Copy)]
pub struct Program {
    /// The kinds of job it knows.
    pub kinds: &'static [&'static JobKind],
    /// Who runs them.
    pub registry: fn(&Arc<JobContext>) -> Registry,
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
    /// Enqueue a job and print its id.
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
    isolated: bool,
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
        let (pools, redis) = match &command {
            JobsCommand::Worker(arguments) if arguments.isolated => connect_isolated_servers(&config.servers).await?,
            _ => connect_job_servers(&config.servers).await?,
        };
        let context = JobContext::new(pools, redis, Arc::new(SystemClock), &config)?;
        match command {
            JobsCommand::Worker(arguments) => self.work(&context, arguments, &config).await,
            JobsCommand::Scheduler => {
                self.schedule(&context, shutdown::on_signal()?).await;
                Ok(())
            }
            JobsCommand::Enqueue(arguments) => arguments.run(self.kinds, &context).await,
            JobsCommand::Quarantine(arguments) => arguments.run(&context).await,
        }
    }

    async fn work(
        self,
        context: &Arc<JobContext>,
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
        let registry = (self.registry)(context);
        if arguments.isolated {
            stop_with_standard_input(stop.clone());
            return Ok(run_suspects(context, registry, &settings, &stop).await?);
        }
        let worker = run_worker(Arc::clone(context), registry, settings, stop.clone());
        if arguments.scheduler {
            tokio::join!(worker, self.schedule(context, stop));
        } else {
            worker.await;
        }
        Ok(())
    }

    async fn schedule(self, context: &JobContext, stop: CancellationToken) {
        let JobContext { queue_pool, redis, clock, sync, reconciliation, .. } = context;
        let scheduler = Scheduler { queue_pool: queue_pool.clone(), redis: redis.clone(), clock: Arc::clone(clock) };
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
    let mut variables = EnvVars::from_process();
    let read = JobsConfig::read(&mut variables);
    variables.finish(read)
}
