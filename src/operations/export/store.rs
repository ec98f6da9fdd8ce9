//! Where files that a job made are kept until somebody downloads them: in the database, or at a store of objects.
//!
//! The database is the default, for it is the one place that every process of every host reaches without being told; files
//! are read from it piece by piece. docs/decisions/0009 weighs it.

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

/// Where files are kept.
#[derive(Clone)]
pub enum ExportFiles {
    /// In the database.
    Database(PgPool, Arc<dyn Clock>),
    /// At a store of objects.
    Objects(ObjectFiles),
}

/// The file cannot be kept, or not be had.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The database refuses.
    #[error(transparent)]
    Db(#[from] DbError),
    /// The store refuses.
    #[error(transparent)]
    Objects(#[from] ObjectError),
    /// It is there no more.
    #[error("a piece of the file is missing: ask for the export again")]
    Missing,
}

/// A file that is being written.
pub struct FileWriter {
    sink: Sink,
    bytes: u64,
}

enum Sink {
    Database { pool: PgPool, clock: Arc<dyn Clock>, file: String, number: i32, piece: BytesMut },
    Objects(ObjectWriter),
}

impl ExportFiles {
    /// The store that is set, or the database where none is.
    ///
    /// # Errors
    /// [`FileError`] where its settings contradict each other.
    pub fn open(settings: Option<&ObjectSettings>, pool: &PgPool, clock: &Arc<dyn Clock>) -> Result<Self, FileError> {
        match settings {
            Some(settings) => Ok(Self::Objects(ObjectFiles::open(settings)?)),
            None => Ok(Self::Database(pool.clone(), Arc::clone(clock))),
        }
    }

    /// Begins to write a file.
    #[must_use]
    pub fn create(&self, file: &str) -> FileWriter {
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
        FileWriter { sink, bytes: 0 }
    }

    /// Some bytes of a file, as fast as they are taken.
    ///
    /// # Errors
    /// [`FileError`] where the file cannot be had.
    pub async fn read(
        &self,
        file: &str,
        range: Range<u64>,
    ) -> Result<BoxStream<'static, Result<Bytes, FileError>>, FileError> {
        match self {
            Self::Database(pool, _) => Ok(read_pieces(pool.clone(), file.to_owned(), range)),
            Self::Objects(files) => Ok(files.read(file, range).await?.map_err(FileError::from).boxed()),
        }
    }

    /// Deletes a file, if it is there.
    ///
    /// # Errors
    /// [`FileError`] where the store refuses.
    pub async fn delete(&self, file: &str) -> Result<(), FileError> {
        match self {
            Self::Database(pool, _) => Ok(pieces::delete(pool, file).await?),
            Self::Objects(files) => Ok(files.delete(file).await?),
        }
    }

    /// Deletes what was written before `time`, whole or not, and says how much that was.
    ///
    /// # Errors
    /// [`FileError`] where the store refuses.
    pub async fn prune(&self, time: DateTime<Utc>) -> Result<u64, FileError> {
        match self {
            Self::Database(pool, _) => Ok(pieces::prune(pool, time).await?),
            Self::Objects(files) => Ok(files.prune(time).await?),
        }
    }
}

impl FileWriter {
    /// Adds bytes.
    ///
    /// # Errors
    /// [`FileError`] where there is no room.
    pub async fn write(&mut self, bytes: Bytes) -> Result<(), FileError> {
        self.bytes += bytes.len() as u64;
        match &mut self.sink {
            Sink::Objects(writer) => Ok(writer.write(bytes).await?),
            Sink::Database { pool, clock, file, number, piece } => {
                piece.extend_from_slice(&bytes);
                while piece.len() >= PIECE_BYTES {
                    let whole = piece.split_to(PIECE_BYTES);
                    pieces::insert(pool, file, *number, &whole, clock.now()).await?;
                    *number += 1;
                }
                Ok(())
            }
        }
    }

    /// Ends the file, and says how many bytes it has.
    ///
    /// # Errors
    /// [`FileError`] where there is no room.
    pub async fn finish(self) -> Result<u64, FileError> {
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

fn read_pieces(pool: PgPool, file: String, range: Range<u64>) -> BoxStream<'static, Result<Bytes, FileError>> {
    stream::try_unfold(range, move |left| {
        let (pool, file) = (pool.clone(), file.clone());
        async move {
            let Some((number, offset, length)) = next_part(&left) else { return Ok(None) };
            let bytes = pieces::read(&pool, &file, number, offset, length).await?.ok_or(FileError::Missing)?;
            if bytes.len() as u64 != u64::from(length.unsigned_abs()) {
                return Err(FileError::Missing);
            }
            let rest = left.start + bytes.len() as u64..left.end;
            Ok(Some((Bytes::from(bytes), rest)))
        }
    })
    .boxed()
}

/// Which part of which piece is read next: its number, where in it, and how much.
fn next_part(left: &Range<u64>) -> Option<(i32, i32, i32)> {
    let piece = PIECE_BYTES as u64;
    let (number, offset) = (left.start / piece, left.start % piece);
    let length = (left.end.checked_sub(left.start)?).min(piece - offset);
    let fits = |part: u64| i32::try_from(part).ok();
    Some((fits(number)?, fits(offset)?, fits(length).filter(|length| *length > 0)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_read_piece_by_piece() {
        let piece = PIECE_BYTES as u64;
        let parts = |mut left: Range<u64>| {
            let mut parts = vec![];
            while let Some((number, offset, length)) = next_part(&left) {
                parts.push((number, offset, length));
                left.start += u64::from(length.unsigned_abs());
            }
            parts
        };
        assert_eq!(parts(0..0), []);
        assert_eq!(parts(0..10), [(0, 0, 10)]);
        assert_eq!(parts(piece - 1..piece + 1), [(0, (1 << 20) - 1, 1), (1, 0, 1)]);
        assert_eq!(parts(5..piece * 2), [(0, 5, (1 << 20) - 5), (1, 0, 1 << 20)]);
    }
}
