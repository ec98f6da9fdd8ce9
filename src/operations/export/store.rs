//! Stores the files of requested exports until they are downloaded: in the database, or in an object store.
//!
//! The database is the default, because every process on every host reaches it without further configuration. Files are
//! written and read in pieces. docs/decisions/0009 compares the alternatives.

use std::ops::Range;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use chrono::{DateTime, Utc};
use futures_util::stream::{self, BoxStream, StreamExt, TryStreamExt};
use sqlx::PgPool;

use crate::clock::Clock;
use crate::db::DbError;
use crate::db::exports::pieces::{self, PIECE_BYTES};
use crate::objects::{ObjectError, ObjectFiles, ObjectSettings, ObjectWriter};

#[derive(Clone)]
pub enum ExportStore {
    Database(PgPool, Arc<dyn Clock>),
    Objects(ObjectFiles),
}

#[derive(Debug, thiserror::Error)]
pub enum ExportStoreError {
    #[error(transparent)]
    Db(#[from] DbError),
    #[error(transparent)]
    Objects(#[from] ObjectError),
    #[error("a piece of the file is missing: request the export again")]
    MissingPiece,
}

/// A file that is being written.
pub struct ExportWriter {
    sink: Sink,
    bytes: u64,
}

enum Sink {
    Database { pool: PgPool, clock: Arc<dyn Clock>, file: String, number: i32, piece: BytesMut },
    Objects(ObjectWriter),
}

impl ExportStore {
    /// The configured object store, or the database if none is configured.
    pub fn open(
        settings: Option<&ObjectSettings>,
        pool: &PgPool,
        clock: &Arc<dyn Clock>,
    ) -> Result<Self, ExportStoreError> {
        match settings {
            Some(settings) => Ok(Self::Objects(ObjectFiles::open(settings)?)),
            None => Ok(Self::Database(pool.clone(), Arc::clone(clock))),
        }
    }

    #[must_use]
    pub fn create(&self, file: &str) -> ExportWriter {
        let sink = match self {
            Self::Database(pool, clock) => Sink::Database {
                pool: pool.clone(),
                clock: Arc::clone(clock),
                file: file.to_owned(),
                number: 0,
                piece: BytesMut::new(),
            },
            Self::Objects(files) => Sink::Objects(files.create(file)),
        };
        ExportWriter { sink, bytes: 0 }
    }

    /// Whether files of reports can be kept: in an object store, but not in the database, which they would fill.
    #[must_use]
    pub fn keeps_reports(&self) -> bool {
        matches!(self, Self::Objects(_))
    }

    /// A file of a report, which does not expire. `None` if the store does not keep any.
    #[must_use]
    pub fn create_report(&self, folder: &str, name: &str) -> Option<ExportWriter> {
        match self {
            Self::Database(..) => None,
            Self::Objects(files) => {
                Some(ExportWriter { sink: Sink::Objects(files.create_kept(folder, name)), bytes: 0 })
            }
        }
    }

    /// The bytes of a file in `range`, read as fast as they are consumed.
    pub async fn read(
        &self,
        file: &str,
        range: Range<u64>,
    ) -> Result<BoxStream<'static, Result<Bytes, ExportStoreError>>, ExportStoreError> {
        match self {
            Self::Database(pool, _) => Ok(read_pieces(pool.clone(), file.to_owned(), range)),
            Self::Objects(files) => Ok(files.read(file, range).await?.map_err(ExportStoreError::from).boxed()),
        }
    }

    /// Deletes a file if it exists.
    pub async fn delete(&self, file: &str) -> Result<(), ExportStoreError> {
        match self {
            Self::Database(pool, _) => Ok(pieces::delete(pool, file).await?),
            Self::Objects(files) => Ok(files.delete(file).await?),
        }
    }

    /// Deletes files and incomplete files that were written before `time`, in the database at most `limit` pieces of them.
    /// Returns how many.
    pub async fn prune(&self, time: DateTime<Utc>, limit: i64) -> Result<u64, ExportStoreError> {
        match self {
            Self::Database(pool, _) => Ok(pieces::prune(pool, time, limit).await?),
            Self::Objects(files) => Ok(files.prune(time).await?),
        }
    }
}

impl ExportWriter {
    pub async fn write(&mut self, bytes: Bytes) -> Result<(), ExportStoreError> {
        self.bytes += bytes.len() as u64;
        match &mut self.sink {
            Sink::Objects(writer) => Ok(writer.write(bytes).await?),
            Sink::Database { pool, clock, file, number, piece } => {
                piece.extend_from_slice(&bytes);
                while piece.len() >= PIECE_BYTES {
                    let full = piece.split_to(PIECE_BYTES);
                    pieces::insert(pool, file, *number, &full, clock.now()).await?;
                    *number += 1;
                }
                Ok(())
            }
        }
    }

    /// Completes the file and returns its size in bytes.
    pub async fn finish(self) -> Result<u64, ExportStoreError> {
        match self.sink {
            Sink::Objects(writer) => writer.finish().await?,
            Sink::Database { pool, clock, file, number, piece } => {
                if !piece.is_empty() {
                    pieces::insert(&pool, &file, number, &piece, clock.now()).await?;
                }
            }
        }
        Ok(self.bytes)
    }
}

fn read_pieces(pool: PgPool, file: String, range: Range<u64>) -> BoxStream<'static, Result<Bytes, ExportStoreError>> {
    stream::try_unfold(range, move |remaining| {
        let (pool, file) = (pool.clone(), file.clone());
        async move {
            let Some((number, offset, length)) = next_part(&remaining) else { return Ok(None) };
            let bytes =
                pieces::read(&pool, &file, number, offset, length).await?.ok_or(ExportStoreError::MissingPiece)?;
            if bytes.len() as u64 != u64::from(length.unsigned_abs()) {
                return Err(ExportStoreError::MissingPiece);
            }
            let remaining = remaining.start + bytes.len() as u64..remaining.end;
            Ok(Some((Bytes::from(bytes), remaining)))
        }
    })
    .boxed()
}

/// The number of the piece to read next, the offset in it, and the length.
fn next_part(remaining: &Range<u64>) -> Option<(i32, i32, i32)> {
    let piece = PIECE_BYTES as u64;
    let (number, offset) = (remaining.start / piece, remaining.start % piece);
    let length = (remaining.end.checked_sub(remaining.start)?).min(piece - offset);
    let fits = |part: u64| i32::try_from(part).ok();
    Some((fits(number)?, fits(offset)?, fits(length).filter(|length| *length > 0)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_piece_by_piece() {
        let piece = PIECE_BYTES as u64;
        let parts = |mut remaining: Range<u64>| {
            let mut parts = vec![];
            while let Some((number, offset, length)) = next_part(&remaining) {
                parts.push((number, offset, length));
                remaining.start += u64::from(length.unsigned_abs());
            }
            parts
        };
        assert_eq!(parts(0..0), []);
        assert_eq!(parts(0..10), [(0, 0, 10)]);
        assert_eq!(parts(piece - 1..piece + 1), [(0, (1 << 20) - 1, 1), (1, 0, 1)]);
        assert_eq!(parts(5..piece * 2), [(0, 5, (1 << 20) - 5), (1, 0, 1 << 20)]);
    }
}
