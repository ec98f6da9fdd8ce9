//! Decides whether the measured code has changed since a measurement.
//!
//! By the content of the files, not by their git history: a shallow clone has none, a rebase gives the same code another
//! commit, and changes are often measured before they are committed. Comments and blank lines of Rust and SQL do not count,
//! so that a correction of a comment does not require a new measurement.

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::error::Error;

/// The fingerprint of all files below `paths`, which are relative to `root`; a file name may have a `*` at its ends.
pub fn of_code(root: &Path, paths: &[String]) -> Result<String, Error> {
    let mut files = vec![];
    for path in paths {
        match path.rsplit_once('/').filter(|(_, name)| name.contains('*')) {
            Some((folder, pattern)) => collect_matching(&root.join(folder), pattern.trim_matches('*'), &mut files)?,
            None => collect(&root.join(path), &mut files)?,
        }
    }
    files.sort();
    files.dedup();
    let mut hash = Sha256::new();
    for file in files {
        let content = std::fs::read(&file).map_err(Error::read(&file))?;
        hash.update(file.strip_prefix(root).unwrap_or(&file).to_string_lossy().as_bytes());
        hash.update([0]);
        hash.update(significant(&file, &content));
        hash.update([0]);
    }
    Ok(hex::encode(&hash.finalize()[..8]))
}

fn collect(path: &Path, files: &mut Vec<PathBuf>) -> Result<(), Error> {
    if !path.is_dir() {
        files.push(path.to_owned());
        return Ok(());
    }
    for entry in std::fs::read_dir(path).map_err(Error::read(path))? {
        let entry = entry.map_err(Error::read(path))?.path();
        let hidden = entry.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        if !hidden {
            collect(&entry, files)?;
        }
    }
    Ok(())
}

/// Files of a folder whose name contains `part`.
fn collect_matching(folder: &Path, part: &str, files: &mut Vec<PathBuf>) -> Result<(), Error> {
    for entry in std::fs::read_dir(folder).map_err(Error::read(folder))? {
        let entry = entry.map_err(Error::read(folder))?.path();
        if entry.file_name().is_some_and(|name| name.to_string_lossy().contains(part)) {
            collect(&entry, files)?;
        }
    }
    Ok(())
}

/// The content without what cannot change a measurement.
fn significant(path: &Path, content: &[u8]) -> Vec<u8> {
    let comment = match path.extension().and_then(|extension| extension.to_str()) {
        Some("rs") => "//",
        Some("sql") => "--",
        Some("md") => return vec![],
        _ => return content.to_vec(),
    };
    let text = String::from_utf8_lossy(content);
    let lines = text.lines().map(str::trim_end);
    let lines = lines.filter(|line| !line.is_empty() && !line.trim_start().starts_with(comment));
    lines.flat_map(|line| [line, "\n"]).collect::<String>().into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(files: &[(&str, &str)]) -> String {
        let folder = tempfile::tempdir().expect("a folder");
        for (name, content) in files {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
            std::fs::write(path, content).expect("a file");
        }
        of_code(folder.path(), &["src".to_owned()]).expect("readable files")
    }

    #[test]
    fn changed_new_and_renamed_files_change_it() {
        let before = code(&[("src/a/b.rs", "let one = 1;\n"), ("src/c.rs", "")]);
        assert_eq!(before, code(&[("src/c.rs", ""), ("src/a/b.rs", "let one = 1;\n")]));
        assert_ne!(before, code(&[("src/a/b.rs", "let one = 2;\n"), ("src/c.rs", "")]));
        assert_ne!(before, code(&[("src/a/b.rs", "let one = 1;\n"), ("src/c.rs", ""), ("src/d.rs", "")]));
        assert_ne!(before, code(&[("src/a/e.rs", "let one = 1;\n"), ("src/c.rs", "")]));
    }

    #[test]
    fn comments_blank_lines_texts_and_other_folders_do_not_change_it() {
        let before = code(&[("src/b.rs", "let one = 1;\n"), ("src/c.sql", "SELECT 1;\n")]);
        let commented = [
            ("src/b.rs", "//! Why.\n\n// The first.\nlet one = 1;  \n"),
            ("src/c.sql", "-- Why.\nSELECT 1;\n"),
            ("other/d.rs", "let two = 2;\n"),
        ];
        assert_eq!(before, code(&commented));
    }

    #[test]
    fn a_pattern_selects_files_by_a_part_of_their_name() {
        let folder = tempfile::tempdir().expect("a folder");
        let of_jobs = || of_code(folder.path(), &["migrations/*jobs*".to_owned()]).expect("readable files");
        std::fs::create_dir(folder.path().join("migrations")).expect("a folder");
        let none = of_jobs();
        std::fs::write(folder.path().join("migrations/1_create_keys.sql"), "SELECT 1").expect("a file");
        assert_eq!(of_jobs(), none);
        std::fs::write(folder.path().join("migrations/2_create_jobs.sql"), "SELECT 2").expect("a file");
        assert_ne!(of_jobs(), none);
    }

    #[test]
    fn a_path_that_does_not_exist_is_an_error() {
        let folder = tempfile::tempdir().expect("a folder");
        let error = of_code(folder.path(), &["src/moved".to_owned()]).expect_err("it does not exist");
        assert!(error.to_string().contains("src/moved"), "{error}");
    }
}
