//! How far both sources have been read, in both lanes of their syncs.

use sqlx::PgConnection;

use super::history::HISTORY;
use super::streams;
use crate::db::DbError;
use crate::domain::explanation::reference::SourceProgress;
use crate::domain::sync::{History, Stream, SyncArgs};
use crate::domain::transaction::Source;

/// Of each source, in the order of [`Source::ALL`].
pub async fn list(connection: &mut PgConnection) -> Result<Vec<SourceProgress>, DbError> {
    let mut all = vec![];
    for source in Source::ALL {
        let rows = streams::list(&mut *connection, source).await?;
        let watermarks = streams::watermarks(source, &rows);
        let watermark = |stream| watermarks.iter().find(|(of, _)| *of == stream).map(|(_, watermark)| *watermark);
        let history = rows.iter().find(|row| row.stream == HISTORY);
        let remaining = history.and_then(|row| {
            let covered_from = row.covered_from?;
            History { backlog_from: row.day?, covered_from, followed_from: covered_from }.backlog()
        });
        all.push(SourceProgress {
            source,
            streams: Stream::all_of(source).map(|stream| (stream, watermark(stream))).to_vec(),
            covered_from: history.and_then(|row| row.covered_from),
            remaining: remaining.as_ref().and_then(SyncArgs::days),
        });
    }
    Ok(all)
}
