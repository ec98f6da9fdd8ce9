//! The command line of `psp-jobs`, for any set of job kinds.
//!
//! The tests run the same program with kinds that production must never know. So the program that they kill is the one
//! that runs in production.

use std::process::ExitCode;
use std::sync::Arc;

use clap::builder::PossibleValuesParser;
use clap::{ArgMatches, Args, Command, CommandFactory, FromArgMatches, Parser, Subcommand};
use psp_dashboard::clock::SystemClock;
use psp_dashboard::config::{ConfigError, EnvVars, JobsConfig, ReconciliationConfig, SyncConfig};
use psp_dashboard::db::process_connections::Process;
use psp_dashboard::domain::job::SuspectLength;
use psp_dashboard::observability::listener::{ListenError, MetricsListener};
use psp_dashboard::observability::record;
use psp_dashboard::observability::traces::{self, Work};
use psp_dashboard::operations::connect_servers::{connect_isolated_servers, connect_job_servers};
use psp_dashboard::{shutdown, telemetry};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use crate::commands::enqueue::EnqueueArguments;
use crate::commands::quarantine::QuarantineArguments;
use crate::handler::Registry;
use crate::job_context::JobContext;
use crate::scheduler::Scheduler;
use crate::scheduler::table::ScheduledJob;
use crate::worker::{IsolatedProcess, WorkerSettings, run_suspects, run_worker};

#[derive(Clone, Copy)]
pub struct Program {
    pub registry: Registry,
    /// What the scheduler enqueues.
    pub table: fn(&SyncConfig, &ReconciliationConfig) -> Vec<ScheduledJob>,
}

/// Runs the jobs of the payments dashboard: syncs of the providers, reconciliation, exports, and maintenance.
#[derive(Debug, Parser)]
#[command(name = "psp-jobs", version, about)]
struct Arguments {
    #[command(subcommand)]
    command: JobsCommand,
}

#[derive(Debug, Subcommand)]
enum JobsCommand {
    /// Run jobs until stopped. Any number of workers may run, on any number of machines.
    Worker(WorkerArguments),
    /// Enqueue scheduled jobs until stopped. Several schedulers may run: each tick is enqueued once.
    Scheduler,
    /// Enqueue a job and print its id.
    Enqueue(EnqueueArguments),
    /// List records that could not be parsed, or parse them again.
    Quarantine(QuarantineArguments),
}

impl JobsCommand {
    /// The name of the service in traces.
    fn program(&self) -> &'static str {
        match self {
            Self::Worker(_) => "psp-worker",
            Self::Scheduler => "psp-scheduler",
            Self::Enqueue(_) | Self::Quarantine(_) => "psp-jobs",
        }
    }
}

#[derive(Debug, Args)]
struct WorkerArguments {
    /// Run only jobs of these queues (comma-separated).
    #[arg(long, value_delimiter = ',')]
    queues: Vec<String>,
    /// How many jobs to run at a time (default: `WORKER_CONCURRENCY`, or 8).
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    concurrency: Option<u32>,
    /// Run a scheduler too, for a small host.
    #[arg(long)]
    scheduler: bool,
    /// Run the short or the long jobs whose worker died, one after another, and exit when none is left or standard input is
    /// closed. Workers start this themselves.
    #[arg(long, hide = true, conflicts_with = "scheduler", requires = "parent", value_parser = parse_length)]
    isolated: Option<SuspectLength>,
    /// The name of the worker that starts this process.
    #[arg(long, hide = true)]
    parent: Option<String>,
}

fn parse_length(name: &str) -> Result<SuspectLength, &'static str> {
    SuspectLength::from_name(name).ok_or("write short or long")
}

impl Program {
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

    /// The derived command line, with the kinds of this program as the values of `enqueue <kind>`.
    fn command_line(self) -> Command {
        let kinds = PossibleValuesParser::new(self.registry.kinds().map(|kind| kind.name));
        Arguments::command()
            .mut_subcommand("enqueue", |enqueue| enqueue.mut_arg("kind", |kind| kind.value_parser(kinds)))
    }

    async fn run(self, matches: &ArgMatches) -> anyhow::Result<()> {
        let Arguments { command } = Arguments::from_arg_matches(matches)?;
        let config = read_config()?;
        let telemetry = telemetry::start(&config.telemetry, command.program())?;
        let ended = Box::pin(self.run_command(command, config)).await;
        telemetry.finish().await;
        ended
    }

    async fn run_command(self, command: JobsCommand, config: JobsConfig) -> anyhow::Result<()> {
        let metrics = bind_metrics(&command, &config).await?;
        let (pools, redis) = match &command {
            JobsCommand::Worker(arguments) if arguments.isolated.is_some() => {
                connect_isolated_servers(&config.servers).await?
            }
            JobsCommand::Worker(_) => connect_job_servers(&config.servers, Process::Worker).await?,
            _ => connect_job_servers(&config.servers, Process::Scheduler).await?,
        };
        let context = JobContext::new(pools, redis, Arc::new(SystemClock), &config)?;
        if let Some((listener, process)) = metrics {
            record::prepare_process();
            tokio::spawn(listener.serve(Arc::new(context.scraper(process))));
        }
        match command {
            JobsCommand::Worker(arguments) => self.run_worker(context, arguments, &config).await,
            JobsCommand::Scheduler => {
                self.run_scheduler(&context, shutdown::on_signal(config.shutdown_grace)?).await;
                Ok(())
            }
            JobsCommand::Enqueue(arguments) => in_own_trace(arguments.run(self.registry, &context)).await,
            JobsCommand::Quarantine(arguments) => in_own_trace(arguments.run(&context)).await,
        }
    }

    async fn run_worker(
        self,
        context: Arc<JobContext>,
        arguments: WorkerArguments,
        config: &JobsConfig,
    ) -> anyhow::Result<()> {
        let stop = shutdown::on_signal(config.shutdown_grace)?;
        let settings = WorkerSettings {
            queues: self.validate_queues(arguments.queues)?,
            concurrency: arguments.concurrency.unwrap_or(config.worker.concurrency),
            rescue: config.worker.rescue,
            shutdown_grace: config.shutdown_grace,
            program: std::env::current_exe()?,
        };
        if let Some((length, parent)) = arguments.isolated.zip(arguments.parent) {
            stop_with_standard_input(stop.clone());
            let process = IsolatedProcess { length, parent };
            return Ok(run_suspects(context, self.registry, &settings, process, &stop).await?);
        }
        context.rules.register(&context.queue_pool).await?;
        let worker = run_worker(Arc::clone(&context), self.registry, settings, stop.clone());
        if arguments.scheduler {
            tokio::join!(worker, self.run_scheduler(&context, stop));
        } else {
            worker.await;
        }
        Ok(())
    }

    async fn run_scheduler(self, context: &JobContext, stop: CancellationToken) {
        let JobContext { queue_pool, redis, clock, sync, reconciliation, .. } = context;
        let scheduler = Scheduler { queue_pool: queue_pool.clone(), redis: redis.clone(), clock: Arc::clone(clock) };
        scheduler.run((self.table)(sync, reconciliation), stop).await;
    }

    fn validate_queues(self, queues: Vec<String>) -> anyhow::Result<Vec<String>> {
        let known = self.registry.queues();
        if let Some(unknown) = queues.iter().find(|queue| !known.contains(queue)) {
            anyhow::bail!("there is no queue \"{unknown}\"; the queues are {}", known.join(", "));
        }
        Ok(queues)
    }
}

/// Runs a command of a person in a trace, which the jobs that it enqueues continue.
async fn in_own_trace<T>(command: impl Future<Output = T>) -> T {
    let trace = traces::start(Work::Own, None);
    let span = tracing::info_span!("command", trace_id = %trace.context.trace_id);
    trace.attach(&span);
    command.instrument(span).await
}

/// The listener for Prometheus, and the name of the process in its metrics. Processes that end by themselves have none: the port is
/// that of the worker that starts them, or was taken by the process of an operator's shell.
async fn bind_metrics(
    command: &JobsCommand,
    config: &JobsConfig,
) -> Result<Option<(MetricsListener, &'static str)>, ListenError> {
    let process = match command {
        JobsCommand::Worker(arguments) if arguments.isolated.is_none() => "worker",
        JobsCommand::Scheduler => "scheduler",
        JobsCommand::Worker(_) | JobsCommand::Enqueue(_) | JobsCommand::Quarantine(_) => return Ok(None),
    };
    match &config.metrics {
        Some(metrics) => Ok(Some((MetricsListener::bind(&metrics.host, metrics.port).await?, process))),
        None => Ok(None),
    }
}

/// Stops when the process that started this one closes the pipe to its standard input, or dies. It uses a thread because the
/// runtime, when it shuts down, would wait for a pending read of its own.
fn stop_with_standard_input(stop: CancellationToken) {
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        stop.cancel();
    });
}

fn read_config() -> Result<JobsConfig, ConfigError> {
    let mut variables = EnvVars::from_process();
    let read = JobsConfig::read(&mut variables);
    variables.finish(read)
}
