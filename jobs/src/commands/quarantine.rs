//! `psp-jobs quarantine`: lists quarantined records, enqueues their replay, and prints pages that could not be split into
//! records.

use std::io::Write;

use anyhow::bail;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Subcommand};
use psp_dashboard::db::page::PageWindow;
use psp_dashboard::db::sync::quarantine;
use psp_dashboard::db::sync::quarantine::{QuarantineEntry, QuarantineFilter};
use psp_dashboard::db::sync::unreadable_pages;
use psp_dashboard::domain::job::{NewJob, Trigger};
use psp_dashboard::domain::record::ReadableText;
use psp_dashboard::domain::replay::Replay;
use psp_dashboard::domain::transaction::Source;
use psp_dashboard::operations::audit::AuditRecord;
use psp_dashboard::operations::enqueue_job::enqueue_job_for;
use serde_json::json;
use uuid::Uuid;

use super::enqueue::{audit_context, wait_for};
use crate::job_context::JobContext;

#[derive(Debug, Args)]
pub(crate) struct QuarantineArguments {
    #[command(subcommand)]
    command: QuarantineCommand,
}

#[derive(Debug, Subcommand)]
enum QuarantineCommand {
    /// Print records that could not be parsed and why, the newest first.
    List(ListArguments),
    /// Enqueue a job that parses records again: one, those of one source, or all. Prints the job's id.
    Replay(ReplayArguments),
    /// Print the last page of a source that could not be split into records. It contains personal data.
    Page {
        #[arg(value_parser = source_parser())]
        source: Source,
    },
}

#[derive(Debug, Args)]
struct ListArguments {
    /// Only records of this source.
    #[arg(long, value_parser = source_parser())]
    source: Option<Source>,
    /// The maximum number of records.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// Print the records too. They contain personal data.
    #[arg(long)]
    raw: bool,
}

#[derive(Debug, Args)]
struct ReplayArguments {
    /// Only this record, by its id in the list.
    #[arg(conflicts_with = "source")]
    id: Option<Uuid>,
    /// Only records of this source.
    #[arg(long, value_parser = source_parser())]
    source: Option<Source>,
    /// Wait until the job ends and print its result. The exit code is 1 if it failed.
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
    pub(crate) async fn run(self, context: &JobContext) -> anyhow::Result<()> {
        match self.command {
            QuarantineCommand::List(arguments) => list(context, &arguments).await,
            QuarantineCommand::Replay(arguments) => replay(context, &arguments).await,
            QuarantineCommand::Page { source } => print_page(context, source).await,
        }
    }
}

async fn list(context: &JobContext, arguments: &ListArguments) -> anyhow::Result<()> {
    let filter = QuarantineFilter { source: arguments.source, kind: None };
    let pool = &context.queue_pool;
    let newest = PageWindow { limit: arguments.limit.into(), ..PageWindow::ALL };
    let entries = quarantine::list(pool, &filter, arguments.raw, &newest).await?;
    let count = quarantine::count(pool, &filter).await?;
    if arguments.raw && !entries.is_empty() {
        let ids: Vec<Uuid> = entries.iter().map(|entry| entry.id).collect();
        let record = AuditRecord::succeeded(json!({"record_ids": ids}));
        audit_context("psp-jobs quarantine list").record(pool, &record, context.clock.now()).await?;
    }
    let mut out = std::io::stdout().lock();
    for entry in &entries {
        write_entry(&mut out, entry)?;
    }
    writeln!(out, "{} of {count} shown", entries.len())?;
    Ok(())
}

fn write_entry(out: &mut impl Write, entry: &QuarantineEntry) -> std::io::Result<()> {
    let source_id = entry.source_id.as_deref().map_or_else(|| "without an id".to_owned(), replace_controls);
    writeln!(out, "{}  {} {} {source_id}", entry.id, entry.source, entry.kind.as_str())?;
    writeln!(out, "    {}", replace_controls(&entry.reason))?;
    let seen = |time: chrono::DateTime<chrono::Utc>| time.format("%Y-%m-%d %H:%M:%SZ");
    let (first, last) = (seen(entry.first_seen_at), seen(entry.last_seen_at));
    writeln!(out, "    seen {} times, first {first}, last {last}, by the run {}", entry.times_seen, entry.run_id)?;
    if let Some(raw) = &entry.raw {
        let readable = ReadableText::new(raw);
        writeln!(out, "    {}", replace_controls(&readable.text))?;
        if let Some(replaced) = readable.replaced {
            writeln!(out, "    ({replaced})")?;
        }
    }
    Ok(())
}

/// A provider's text, with control characters replaced, which a terminal could interpret.
fn replace_controls(text: &str) -> String {
    text.chars().map(|character| if character.is_control() { '\u{fffd}' } else { character }).collect()
}

async fn print_page(context: &JobContext, source: Source) -> anyhow::Result<()> {
    let Some(page) = unreadable_pages::find(&context.queue_pool, source).await? else {
        println!("every page of {source} could be read");
        return Ok(());
    };
    let record = AuditRecord::succeeded(json!({"source": source, "received_at": page.received_at}));
    let audit = audit_context("psp-jobs quarantine page");
    audit.record(&context.queue_pool, &record, context.clock.now()).await?;
    let received_at = page.received_at.format("%Y-%m-%d %H:%M:%SZ");
    println!("received {received_at} by the run {}: {}", page.run_id, replace_controls(&page.reason));
    println!("{}", replace_controls(&ReadableText::new(&page.raw).text));
    Ok(())
}

async fn replay(context: &JobContext, arguments: &ReplayArguments) -> anyhow::Result<()> {
    let JobContext { queue_pool, redis, clock, .. } = context;
    if let Some(id) = arguments.id
        && !quarantine::exists(&mut *queue_pool.acquire().await?, id).await?
    {
        bail!("there is no record {id} in quarantine; psp-jobs quarantine list prints all of them");
    }
    let job = NewJob::replay(arguments.replay(), Trigger::Cli);
    let audit = audit_context("psp-jobs quarantine replay");
    let job_id = enqueue_job_for(queue_pool, redis, &job, &audit, clock.now()).await?.job_id;
    println!("{job_id}");
    if arguments.wait { wait_for(context, job_id).await } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entry_is_printed_without_control_characters() {
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
        write_entry(&mut out, &entry).expect("writes to memory");
        let printed = String::from_utf8(out).expect("text");
        for part in
            ["vima payin 1\u{fffd}[2J", "complete_amount is missing", "seen 2 times", "{\"a\":\u{fffd}}", "1 NULs"]
        {
            assert!(printed.contains(part), "{part}: {printed}");
        }
        assert!(!printed.contains('\u{1b}'), "{printed}");
    }
}
