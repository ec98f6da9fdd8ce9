//! Finds the last reconciliation result of a transaction, and its counterpart from the other source.
//!
//! Both are answered together so that they do not contradict each other: the counterpart is the transaction that the run
//! compared it with. Only if no run names one, the matching rules decide with the current settings.

use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use crate::db::DbError;
use crate::db::reconciliation::last_findings;
use crate::db::reconciliation::last_findings::DiscrepancyRef;
use crate::db::snapshot::Snapshot;
use crate::db::transactions::search::FoundTransaction;
use crate::domain::reconciliation::last_finding::{Evidence, Finding};
use crate::domain::reconciliation::{MatchStatus, Parameters};
use crate::domain::transaction::{Kind, Source};

#[derive(Debug, Clone, PartialEq)]
pub struct Counterpart {
    /// `None` if no run has included the transaction.
    pub last_finding: Option<LastFinding>,
    /// The other source's record of the same payment.
    pub counterpart_id: Option<Uuid>,
}

/// The result of the last run that included a transaction.
#[derive(Debug, Clone, PartialEq)]
pub struct LastFinding {
    pub finding: Finding,
    /// The discrepancy that was opened for it, if any.
    pub discrepancy: Option<DiscrepancyRef>,
    /// Whether one of the compared transactions has changed since the run.
    pub changed_since: bool,
}

/// Finds the counterpart of `transaction`; `parameters` are the current matching rules.
pub async fn find_counterpart(
    pool: &PgPool,
    transaction: &FoundTransaction,
    parameters: &Parameters,
) -> Result<Counterpart, DbError> {
    let mut snapshot = Snapshot::open(pool).await?;
    let evidence = load_evidence(snapshot.connection()?, transaction).await?;
    let last_finding = match evidence.last_finding(transaction.id) {
        Some(finding) => Some(load_last_finding(snapshot.connection()?, transaction.id, finding).await?),
        None => None,
    };
    snapshot.close().await?;
    let compared_with = last_finding.as_ref().and_then(|last| last.finding.counterpart_of(transaction.id));
    let counterpart_id = compared_with.or_else(|| evidence.counterpart(transaction.id, parameters));
    Ok(Counterpart { last_finding, counterpart_id })
}

/// The rows that share the transaction's key, and what the last runs found about them.
pub(super) async fn load_evidence(
    snapshot: &mut PgConnection,
    transaction: &FoundTransaction,
) -> Result<Evidence, DbError> {
    let rows = match transaction.key() {
        Some(key) => last_findings::list_rows(snapshot, transaction.kind, key, transaction.created_at).await?,
        None => vec![],
    };
    if transaction.kind != Kind::Payin {
        return Ok(Evidence { rows, findings: vec![], runs: vec![] });
    }
    // A pair belongs to the day of its Vima transaction.
    let days = rows.iter().map(|stored| &stored.row).filter(|row| row.source == Source::Vima);
    let runs = last_findings::list_runs(snapshot, days.map(|row| row.created_at)).await?;
    let ids: Vec<Uuid> = rows.iter().map(|stored| stored.row.id).chain([transaction.id]).collect();
    let findings = last_findings::list_findings(snapshot, &ids).await?;
    Ok(Evidence { rows, findings, runs })
}

pub(super) async fn load_last_finding(
    snapshot: &mut PgConnection,
    id: Uuid,
    finding: Finding,
) -> Result<LastFinding, DbError> {
    let duplicate = finding.match_status == MatchStatus::Duplicate;
    let discrepancy = last_findings::find_discrepancy(snapshot, finding.recon_date, id, duplicate).await?;
    let ids: Vec<Uuid> = [finding.vima, finding.payshack].into_iter().flatten().collect();
    let changed_since = last_findings::have_changed_since(snapshot, &ids, finding.as_of).await?;
    Ok(LastFinding { finding, discrepancy, changed_since })
}
