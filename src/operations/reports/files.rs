//! The files of reports in the object store.
//!
//! A name is the same in every attempt, so that another one replaces the file instead of adding one.

use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures_util::TryStreamExt;
use uuid::Uuid;

use super::ReportDeliveryError;
use crate::domain::reports::schedule::Folder;
use crate::operations::export::open::OpenedExport;
use crate::operations::export::store::ExportStore;

/// The name of a report's file. Schedules may share a folder.
pub(super) fn name(due_at: DateTime<Utc>, schedule_id: Uuid, file_name: &str) -> String {
    let schedule = schedule_id.simple().to_string();
    format!("{}_{}_{file_name}", due_at.format("%Y%m%dT%H%M%SZ"), &schedule[schedule.len() - 8..])
}

pub(super) async fn write(
    store: &ExportStore,
    folder: &Folder,
    name: &str,
    content: String,
) -> Result<String, ReportDeliveryError> {
    let mut file = store.create_report(folder.as_str(), name).ok_or(ReportDeliveryError::NoObjectStore)?;
    file.write(Bytes::from(content)).await?;
    file.finish().await?;
    Ok(format!("{}/{name}", folder.as_str()))
}

/// Copies the file of an export, which expires, to where it stays.
pub(super) async fn copy(
    store: &ExportStore,
    folder: &Folder,
    name: &str,
    opened: &OpenedExport,
) -> Result<String, ReportDeliveryError> {
    let mut file = store.create_report(folder.as_str(), name).ok_or(ReportDeliveryError::NoObjectStore)?;
    let mut chunks = store.read(&opened.stored_as, 0..opened.bytes).await?;
    while let Some(chunk) = chunks.try_next().await? {
        file.write(chunk).await?;
    }
    file.finish().await?;
    Ok(format!("{}/{name}", folder.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_sort_by_time_and_differ_between_schedules() {
        let due_at = "2026-01-15T01:30:00Z".parse().expect("a time");
        let names = [1, 2].map(|id| name(due_at, Uuid::from_u128(id), "transactions.csv"));
        assert_eq!(names, ["20260115T013000Z_00000001_transactions.csv", "20260115T013000Z_00000002_transactions.csv"]);
    }
}
