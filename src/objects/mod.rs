//! Files in an object store that every process reaches: any S3-compatible service, or a shared folder.
//!
//! The store knows only names and bytes. What a file contains and who may read it is recorded in the database.

mod http;
mod step;

use std::ops::Range;
use std::path::{Path as FolderPath, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures_util::stream::{BoxStream, StreamExt, TryStreamExt};
use object_store::aws::AmazonS3Builder;
use object_store::buffered::BufWriter;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{GetOptions, GetRange, ObjectStore, ObjectStoreExt};
use tokio::io::AsyncWriteExt;
use tracing::Span;

use self::step::{Operation, fail, in_step, step};
use crate::domain::secret::Secret;
use crate::outbound::Outbound;

/// The size of an uploaded part (the minimum of S3) and the number of concurrent uploads, which determine how much memory a
/// writer needs.
const PART_BYTES: usize = 5 << 20;
const MAX_CONCURRENT_PARTS: usize = 2;
/// The folder of files that do not expire.
const KEPT_FOLDER: &str = "reports";

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ObjectSettings {
    /// A folder that every process can access.
    Folder(PathBuf),
    /// A bucket of S3 or of a compatible service.
    Bucket {
        /// `s3://bucket` or `s3://bucket/prefix`.
        url: String,
        /// Credentials and other options, by the names that AWS uses: `AWS_ACCESS_KEY_ID`, `AWS_ENDPOINT`, ….
        options: Vec<(String, Secret)>,
        outbound: Outbound,
    },
}

#[derive(Debug, thiserror::Error)]
#[error("the object store failed: {0}; check EXPORT_STORE and the options of the store (docs/exports.md)")]
pub struct ObjectError(#[from] object_store::Error);

impl From<std::io::Error> for ObjectError {
    fn from(error: std::io::Error) -> Self {
        Self(object_store::Error::Generic { store: "files", source: Box::new(error) })
    }
}

#[derive(Debug, Clone)]
pub struct ObjectFiles {
    store: Arc<dyn ObjectStore>,
    prefix: Path,
}

/// A file that is being written. It becomes visible when it is finished; dropped before, it is discarded.
pub struct ObjectWriter {
    file: BufWriter,
    /// Ends with the writer.
    step: Span,
}

impl ObjectFiles {
    /// Opens the store without connecting to it. Fails if the settings contradict each other, or the folder cannot be created.
    pub fn open(settings: &ObjectSettings) -> Result<Self, ObjectError> {
        match settings {
            ObjectSettings::Folder(folder) => Self::open_folder(folder),
            ObjectSettings::Bucket { url, options, outbound } => Self::open_bucket(url, options, outbound),
        }
    }

    fn open_folder(folder: &FolderPath) -> Result<Self, ObjectError> {
        std::fs::create_dir_all(folder)?;
        let store = LocalFileSystem::new_with_prefix(folder)?.with_automatic_cleanup(true);
        Ok(Self { store: Arc::new(store), prefix: Path::default() })
    }

    fn open_bucket(url: &str, options: &[(String, Secret)], outbound: &Outbound) -> Result<Self, ObjectError> {
        let connector = http::Connector(outbound.clone());
        let mut builder = AmazonS3Builder::new().with_url(url).with_http_connector(connector);
        for (name, value) in options {
            // Other AWS_ variables, which this library does not know, are ignored.
            if let Ok(key) = name.to_ascii_lowercase().parse() {
                builder = builder.with_config(key, value.expose());
            }
        }
        let prefix = url.strip_prefix("s3://").and_then(|rest| rest.split_once('/')).map_or("", |(_, prefix)| prefix);
        Ok(Self { store: Arc::new(builder.build()?), prefix: Path::from(prefix) })
    }

    #[must_use]
    pub fn create(&self, name: &str) -> ObjectWriter {
        self.create_at(self.prefix.clone().join(name))
    }

    /// A file that [`Self::prune`] leaves, in a folder whose parts are separated by `/`.
    #[must_use]
    pub fn create_kept(&self, folder: &str, name: &str) -> ObjectWriter {
        let folder = folder.split('/').fold(self.kept(), Path::join);
        self.create_at(folder.join(name))
    }

    fn kept(&self) -> Path {
        self.prefix.clone().join(KEPT_FOLDER)
    }

    fn create_at(&self, path: Path) -> ObjectWriter {
        let writer = BufWriter::with_capacity(Arc::clone(&self.store), path, PART_BYTES);
        ObjectWriter { file: writer.with_max_concurrency(MAX_CONCURRENT_PARTS), step: step(Operation::Write) }
    }

    /// The bytes of a file in `range`, as they arrive.
    pub async fn read(
        &self,
        name: &str,
        range: Range<u64>,
    ) -> Result<BoxStream<'static, Result<Bytes, ObjectError>>, ObjectError> {
        if range.is_empty() {
            return Ok(futures_util::stream::empty().boxed());
        }
        let options = GetOptions { range: Some(GetRange::Bounded(range)), ..GetOptions::default() };
        let step = step(Operation::Read);
        let path = self.prefix.clone().join(name);
        let file = in_step(&step, self.store.get_opts(&path, options)).await?;
        // The step ends with the stream.
        Ok(file.into_stream().map_err(ObjectError).inspect_err(move |_| fail(&step)).boxed())
    }

    /// Deletes a file if it exists.
    pub async fn delete(&self, name: &str) -> Result<(), ObjectError> {
        let deleting = async {
            match self.store.delete(&self.prefix.clone().join(name)).await {
                Err(object_store::Error::NotFound { .. }) | Ok(()) => Ok(()),
                Err(error) => Err(error.into()),
            }
        };
        in_step(&step(Operation::Delete), deleting).await
    }

    /// Deletes files that were finished before `time`, except those of [`Self::create_kept`], and returns how many.
    pub async fn prune(&self, time: DateTime<Utc>) -> Result<u64, ObjectError> {
        in_step(&step(Operation::Prune), self.delete_older(time)).await
    }

    async fn delete_older(&self, time: DateTime<Utc>) -> Result<u64, ObjectError> {
        let prefix = (!self.prefix.as_ref().is_empty()).then_some(&self.prefix);
        let files: Vec<_> = self.store.list(prefix).try_collect().await?;
        let (mut pruned, kept) = (0, self.kept());
        let is_expired =
            |file: &object_store::ObjectMeta| file.last_modified < time && !file.location.prefix_matches(&kept);
        for file in files.into_iter().filter(is_expired) {
            self.store.delete(&file.location).await?;
            pruned += 1;
        }
        Ok(pruned)
    }
}

impl ObjectWriter {
    pub async fn write(&mut self, bytes: Bytes) -> Result<(), ObjectError> {
        Ok(in_step(&self.step, self.file.put(bytes)).await?)
    }

    /// Completes the file and makes it visible.
    pub async fn finish(mut self) -> Result<(), ObjectError> {
        Ok(in_step(&self.step, self.file.shutdown()).await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn text(files: &ObjectFiles, name: &str, range: Range<u64>) -> String {
        let stream = files.read(name, range).await.expect("the file is there");
        let parts: Vec<Bytes> = stream.try_collect().await.expect("it can be read");
        String::from_utf8(parts.concat()).expect("text")
    }

    #[tokio::test]
    async fn folders_contain_only_finished_files() {
        let folder = tempfile::tempdir().expect("a folder");
        let files = ObjectFiles::open(&ObjectSettings::Folder(folder.path().join("of/exports"))).expect("a store");
        let mut writer = files.create("a-1");
        writer.write(Bytes::from("hello ")).await.expect("room");
        assert!(files.read("a-1", 0..1).await.is_err(), "an unfinished file is not visible");
        writer.write(Bytes::from("world")).await.expect("room");
        writer.finish().await.expect("room");
        assert_eq!(text(&files, "a-1", 0..11).await, "hello world");
        assert_eq!(text(&files, "a-1", 4..7).await, "o w");
        assert_eq!(text(&files, "a-1", 3..3).await, "");
        let mut aborted = files.create("b-1");
        aborted.write(Bytes::from("half")).await.expect("room");
        drop(aborted);
        assert!(files.read("b-1", 0..1).await.is_err());
        let mut kept = files.create_kept("finance/daily", "report.csv");
        kept.write(Bytes::from("kept")).await.expect("room");
        kept.finish().await.expect("room");
        assert_eq!(files.prune(DateTime::UNIX_EPOCH).await.expect("a list"), 0);
        assert_eq!(files.prune(DateTime::<Utc>::MAX_UTC).await.expect("a list"), 1);
        let path = folder.path().join("of/exports/reports/finance/daily/report.csv");
        assert_eq!(std::fs::read_to_string(path).expect("a file"), "kept");
        files.delete("a-1").await.expect("deleting a missing file succeeds");
    }

    #[test]
    fn buckets_take_the_options_of_aws() {
        let options = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|(name, value)| ((*name).to_owned(), Secret::new(*value))).collect::<Vec<_>>()
        };
        let bucket = |url: &str, pairs: &[(&str, &str)]| {
            let (url, outbound) = (url.to_owned(), Outbound::default());
            ObjectFiles::open(&ObjectSettings::Bucket { url, options: options(pairs), outbound })
        };
        let keys = [("AWS_ACCESS_KEY_ID", "made-up"), ("AWS_SECRET_ACCESS_KEY", "made-up"), ("PATH", "ignored")];
        let files = bucket("s3://finance/psp/exports", &keys).expect("a store");
        assert_eq!(files.prefix.as_ref(), "psp/exports");
        assert_eq!(bucket("s3://finance", &keys).expect("a store").prefix.as_ref(), "");
        assert!(bucket("ftp://finance", &keys).is_err());
    }
}
