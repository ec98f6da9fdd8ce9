//! `psp-jobs quarantine`: the quarantine for people, listed and read again.

use std::io::Write;

use anyhow::bail;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Subcommand};
use psp_dashboard::db::page::PageWindow;
use psp_dashboard::db::sync::quarantine;
use psp_dashboard::db::sync::quarantine::{QuarantineEntry, QuarantineFilter};
use psp_dashboard::domain::job::{NewJob, Trigger};
use psp_dashboard::domain::record::ReadableText;
use psp_dashboard::domain::replay::Replay;
use psp_dashboard::domain::transaction::Source;
use psp_dashboard::operations::enqueue_job::enqueue_job;
use uuid::Uuid;

use super::enqueue::follow;
use crate::job_context::JobContext;

/// What is to be done with the quarantine.
#[derive(Debug, Args)]
pub(crate) struct QuarantineArguments {
    #[command(subcommand)]
    command: QuarantineCommand,
}

#[derive(Debug, Subcommand)]
enum QuarantineCommand {
    /// Print what could not be read and why, those that came last for the first time first.
    List(ListArguments),
    /// Enqueue a job that reads records again: one, those of one source, or all of them. Prints the job's id.
    Replay(ReplayArguments),
}

#[derive(Debug, Args)]
struct ListArguments {
    /// Only records of this source.
    #[arg(long, value_parser = source_parser())]
    source: Option<Source>,
    /// How many at most.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// Print the records themselves too. They hold personal data.
    #[arg(long)]
    raw: bool,
}

#[derive(Debug, Args)]
struct ReplayArguments {
    /// The record, by its id in the list.
    #[arg(conflicts_with = "source")]
    id: Option<Uuid>,
    /// The records of this source.
    #[arg(long, value_parser = source_parser())]
    source: Option<Source>,
    /// Wait for the job to end, print what came of it, and fail if it failed.
    #[arg(long)]
    wait: bool,
}

impl ReplayArguments {
    fn replay(&self) -> Replay {
        match (self.id, self.source) {
            (Some(id), _) => Replay::Record(id),
            (None, Some(source)) => Replay::Source(source),
            (None, None) => Replay::All,
        }
    }
}

fn source_parser() -> impl TypedValueParser<Value = Source> {
    let names = PossibleValuesParser::new(Source::ALL.map(Source::as_str));
    names.try_map(|name| Source::from_name(&name).ok_or("there is no such source"))
}

impl QuarantineArguments {
    /// Does it.
    pub(crate) async fn run(self, context: &JobContext) -> anyhow::Result<()> {
        match self.command {
            QuarantineCommand::List(arguments) => list(context, &arguments).await,
            QuarantineCommand::Replay(arguments) => replay(context, &arguments).await,
        }
    }
}

async fn list(context: &JobContext, arguments: &ListArguments) -> anyhow::Result<()> {
    let filter = QuarantineFilter { source: arguments.source, kind: None };
    let pool = &context.queue_pool;
    let newest = PageWindow { limit: arguments.limit.into(), ..PageWindow::ALL };
    let entries = quarantine::list(pool, &filter, arguments.raw, &newest).await?;
    let count = quarantine::count(pool, &filter).await?;
    let mut out = std::io::stdout().lock();
    for entry in &entries {
        write_entry(&mut out, entry)?;
    }
    writeln!(out, "{} of {count} shown", entries.len())?;
    Ok(())
}

fn write_entry(out: &mut impl Write, entry: &QuarantineEntry) -> std::io::Result<()> {
    let source_id = entry.source_id.as_deref().map_or_else(|| "without an id".to_owned(), printable);
    writeln!(out, "{}  {} {} {source_id}", entry.id, entry.source, entry.kind.as_str())?;
    writeln!(out, "    {}", printable(&entry.reason))?;
    let seen = |time: chrono::DateTime<chrono::Utc>| time.format("%Y-%m-%d %H:%M:%SZ");
    let (first, last) = (seen(entry.first_seen_at), seen(entry.last_seen_at));
    writeln!(out, "    seen {} times, first {first}, last {last}, by the run {}", entry.times_seen, entry.run_id)?;
    if let Some(raw) = &entry.raw {
        let readable = ReadableText::new(raw);
        writeln!(out, "    {}", printable(&readable.text))?;
        if let Some(replaced) = readable.replaced {
            writeln!(out, "    ({replaced})")?;
        }
    }
    Ok(())
}

/// Text of a provider's without what a terminal would obey.
fn printable(text: &str) -> String {
    text.chars().map(|character| if character.is_control() { '\u{fffd}' } else { character }).collect()
}

async fn replay(context: &JobContext, arguments: &ReplayArguments) -> anyhow::Result<()> {
    let JobContext { queue_pool, redis, .. } = context;
    if let Some(id) = arguments.id
        && !quarantine::exists(&mut *queue_pool.acquire().await?, id).await?
    {
        bail!("there is no record {id} in quarantine: psp-jobs quarantine list prints what there is");
    }
    let job = NewJob::replay(arguments.replay(), Trigger::Cli);
    let job_id = enqueue_job(queue_pool, redis, &job).await?.job_id;
    println!("{job_id}");
    if arguments.wait { follow(context, job_id).await } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_printed_without_what_a_terminal_would_obey() {
        let at = "2026-01-15T10:00:00Z".parse().expect("a time");
        let entry = QuarantineEntry {
            id: Uuid::nil(),
            source: Source::Vima,
            kind: psp_dashboard::domain::transaction::Kind::Payin,
            source_id: Some("1\u{1b}[2J".to_owned()),
            reason: "complete_amount is missing".to_owned(),
            raw: Some(b"{\"a\":\x00}".to_vec()),
            run_id: Uuid::nil(),
            first_seen_at: at,
            last_seen_at: at,
            times_seen: 2,
        };
        let mut out = vec![];
        write_entry(&mut out, &entry).expect("memory takes it");
        let printed = String::from_utf8(out).expect("text");
        for part in
            ["vima payin 1\u{fffd}[2J", "complete_amount is missing", "seen 2 times", "{\"a\":\u{fffd}}", "1 NULs"]
        {
            assert!(printed.contains(part), "{part}: {printed}");
        }
        assert!(!printed.contains('\u{1b}'), "{printed}");
    }
}
