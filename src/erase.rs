//! `psp erase`: erases a person, or counts what would be erased.

use std::sync::Arc;

use anyhow::bail;
use clap::Args;

use crate::clock::{Clock, SystemClock};
use crate::config::{EnvVars, ServersConfig, export_store};
use crate::db::pool::connect;
use crate::domain::erasure::Identifier;
use crate::operations::audit::AuditContext;
use crate::operations::erase_person::{ErasureCounts, count_person, erase_person};
use crate::operations::export::store::ExportStore;

/// The name of the command in the audit log.
const COMMAND: &str = "psp erase";

#[derive(Debug, Args)]
pub struct EraseArguments {
    /// An e-mail address of the person; may be repeated, like the others
    #[arg(long)]
    email: Vec<String>,
    /// A phone number; the last ten digits count
    #[arg(long)]
    phone: Vec<String>,
    /// The id that a merchant has given the person
    #[arg(long)]
    user_id: Vec<String>,
    /// Erase; without it, only count what would be erased
    #[arg(long)]
    yes: bool,
}

impl EraseArguments {
    fn identifiers(&self) -> anyhow::Result<Vec<Identifier>> {
        let emails = self.email.iter().map(|text| Identifier::email(text));
        let phones = self.phone.iter().map(|text| Identifier::phone(text));
        let user_ids = self.user_id.iter().map(|text| Identifier::user_id(text));
        let identifiers: Vec<Identifier> = emails.chain(phones).chain(user_ids).collect::<Result<_, _>>()?;
        if identifiers.is_empty() {
            bail!("name the person by --email, --phone or --user-id");
        }
        Ok(identifiers)
    }

    /// Prints what was erased, or would be.
    pub async fn run(self) -> anyhow::Result<()> {
        let identifiers = self.identifiers()?;
        let mut env_vars = EnvVars::from_process();
        let settings = ServersConfig::read_database(&mut env_vars);
        let files = export_store::read(&mut env_vars);
        let user = env_vars.os_user();
        let (settings, files) = env_vars.finish(settings.zip(files))?;
        let pool = connect(&settings).await?;
        if !self.yes {
            print(&count_person(&pool, &identifiers).await?);
            println!("nothing was erased; repeat the command with --yes");
            return Ok(());
        }
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let store = ExportStore::open(files.as_ref(), &pool, &clock)?;
        let audit = AuditContext::of_command(user, COMMAND);
        print(&erase_person(&pool, &store, &identifiers, &audit, clock.now()).await?);
        println!("erased; backups of the database still contain the person until they expire");
        Ok(())
    }
}

fn print(counts: &ErasureCounts) {
    let ErasureCounts { payments, texts, exports } = counts;
    println!("{payments} payments");
    for (count, what) in [
        (texts.quarantined_records, "records in quarantine"),
        (texts.unreadable_pages, "unreadable pages"),
        (texts.discrepancies, "discrepancies"),
        (texts.discrepancy_changes, "changes of discrepancies"),
        (texts.jobs, "errors of jobs"),
        (texts.sync_runs, "errors of syncs"),
        (texts.webhook_deliveries, "messages of webhooks"),
        (texts.notes_of_alerts, "notes of alerts"),
        (texts.orders_of_exports, "orders of exports"),
        (texts.saved_views, "saved views"),
        (texts.audit_entries, "entries of the audit log"),
    ] {
        println!("{count} {what}");
    }
    println!("{exports} exports, whatever they contain");
}
