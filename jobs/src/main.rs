//! `psp-jobs`: the worker and the scheduler.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::{Parser, Subcommand};
use psp_dashboard::clock::SystemClock;
use psp_dashboard::config::{ConfigError, Environment as Variables, JobsConfig};
use psp_dashboard::db::jobs;
use psp_dashboard::domain::job::{JobId, JobKind, JobState, KINDS, NewJob, Trigger};
use psp_dashboard::domain::sync::SyncArgs;
use psp_dashboard::operations::connect_servers::connect_servers;
use psp_dashboard::operations::enqueue_job::enqueue_job;
use psp_dashboard::{shutdown, telemetry};
use psp_jobs::environment::Environment;
use psp_jobs::schedule::table;
use psp_jobs::scheduler::Scheduler;
use psp_jobs::worker::{WorkerSettings, run_worker};
use tokio_util::sync::CancellationToken;

/// Runs the jobs of the payments dashboard: syncs of the providers, and what keeps house.
#[derive(Debug, Parser)]
#[command(version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run jobs, until told to stop. Any number of workers may run, on any number of machines.
    Worker {
        /// Only jobs of these queues (by commas).
        #[arg(long, value_delimiter = ',')]
        queues: Vec<String>,
        /// How many jobs run at a time (else `WORKER_CONCURRENCY`, else 8).
        #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
        concurrency: Option<u32>,
        /// Also enqueue what is due, for a small host.
        #[arg(long)]
        scheduler: bool,
    },
    /// Enqueue what is due, until told to stop. Several may run: each tick is enqueued once.
    Scheduler,
    /// Enqueue one job and print its id.
    Enqueue {
        /// The kind of job.
        #[arg(value_parser = kind_names())]
        kind: String,
        /// Its arguments as JSON, for example '{"mode":"full"}' for a sync.
        args: Option<String>,
        /// Queue one more behind a live one of the same kind and arguments, rather than join it.
        #[arg(long)]
        force: bool,
        /// Wait for it to end, print what came of it, and fail if it failed.
        #[arg(long)]
        wait: bool,
    },
}

fn kind_names() -> clap::builder::PossibleValuesParser {
    clap::builder::PossibleValuesParser::new(KINDS.map(|kind| kind.name))
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Arguments::parse().command).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("psp-jobs: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(command: Command) -> anyhow::Result<()> {
    let config = read_config()?;
    telemetry::start(&config.telemetry)?;
    let (pool, wire) = connect_servers(&config.servers).await?;
    let environment = Environment::new(pool, wire, Arc::new(SystemClock), &config)?;
    match command {
        Command::Worker { queues, concurrency, scheduler } => {
            let stop = shutdown::on_signal()?;
            let settings = WorkerSettings {
                queues: checked_queues(queues)?,
                concurrency: concurrency.unwrap_or(config.worker.concurrency),
                rescue: config.worker.rescue,
                shutdown_grace: config.shutdown_grace,
            };
            let registry = psp_jobs::registry(&environment);
            let worker = run_worker(Arc::clone(&environment), registry, settings, stop.clone());
            if scheduler {
                tokio::join!(worker, schedule(&environment, stop));
            } else {
                worker.await;
            }
            Ok(())
        }
        Command::Scheduler => {
            schedule(&environment, shutdown::on_signal()?).await;
            Ok(())
        }
        Command::Enqueue { kind, args, force, wait } => {
            let job_id = enqueue(&environment, &kind, args.as_deref(), force).await?;
            println!("{job_id}");
            if wait { follow(&environment, job_id).await } else { Ok(()) }
        }
    }
}

fn read_config() -> Result<JobsConfig, ConfigError> {
    let mut variables = Variables::of_process();
    let read = JobsConfig::read(&mut variables);
    variables.finish(read)
}

async fn schedule(environment: &Environment, stop: CancellationToken) {
    let Environment { pool, wire, clock, sync, .. } = environment;
    let scheduler = Scheduler { pool: pool.clone(), wire: wire.clone(), clock: Arc::clone(clock) };
    scheduler.run(table(sync), stop).await;
}

fn checked_queues(queues: Vec<String>) -> anyhow::Result<Vec<String>> {
    let known: std::collections::BTreeSet<&str> = KINDS.iter().map(|kind| kind.queue).collect();
    if let Some(unknown) = queues.iter().find(|queue| !known.contains(queue.as_str())) {
        anyhow::bail!(
            "there is no queue \"{unknown}\"; the queues are {}",
            known.into_iter().collect::<Vec<_>>().join(", ")
        );
    }
    Ok(queues)
}

async fn enqueue(environment: &Environment, kind: &str, args: Option<&str>, force: bool) -> anyhow::Result<JobId> {
    let kind = JobKind::from_name(kind).ok_or_else(|| anyhow::anyhow!("there is no kind of job \"{kind}\""))?;
    let job = match kind.source() {
        Some(source) => {
            let args = match args {
                Some(args) => serde_json::from_str(args).map_err(|error| {
                    anyhow::anyhow!(
                        "the arguments cannot be read ({error}); for example '{{\"mode\":\"incremental\"}}'"
                    )
                })?,
                None => SyncArgs::Incremental,
            };
            NewJob::sync(source, &args, Trigger::Cli)
        }
        None => NewJob::plain(kind, Trigger::Cli),
    };
    let enqueued = enqueue_job(&environment.pool, &environment.wire, &NewJob { force, ..job }).await?;
    Ok(enqueued.job_id)
}

async fn follow(environment: &Environment, job_id: JobId) -> anyhow::Result<()> {
    let mut looks = tokio::time::interval(Duration::from_millis(200));
    loop {
        looks.tick().await;
        let Some(job) = jobs::find_glance(&environment.pool, job_id).await? else {
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
