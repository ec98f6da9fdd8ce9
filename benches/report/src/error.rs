//! What can go wrong with the files of the report.

use std::io;
use std::path::{Path, PathBuf};

/// A file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot read {path}: {source}; check that it exists and may be read")]
    Read { path: PathBuf, source: io::Error },
    #[error("cannot write {path}: {source}; check that its folder exists and may be written")]
    Write { path: PathBuf, source: io::Error },
    #[error("{path} is not a file of results: {source}; restore it with git, or delete it and measure again")]
    Results { path: PathBuf, source: serde_json::Error },
    #[error("{path}: {problem}")]
    About { path: PathBuf, problem: String },
}

impl Error {
    pub(crate) fn read(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Read { path, source }
    }

    pub(crate) fn write(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Write { path, source }
    }
}
