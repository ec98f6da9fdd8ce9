//! Where exported files are stored until they are downloaded.

use std::str::FromStr;

use super::{EnvVars, Setting, Switch, outbound};
use crate::objects::ObjectSettings;

/// The prefix of the credentials, the region and the endpoint of an S3-compatible store.
const AWS_PREFIX: &str = "AWS_";

enum Store {
    Database,
    Folder(String),
    Bucket(String),
}

impl FromStr for Store {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once("://") {
            None if text == "database" => Ok(Self::Database),
            Some(("file", folder)) if folder.starts_with('/') => Ok(Self::Folder(folder.to_owned())),
            Some(("s3", bucket)) if !bucket.is_empty() => Ok(Self::Bucket(text.to_owned())),
            _ => Err("must be database, file:///a/folder or s3://bucket/prefix"),
        }
    }
}

/// Reads `EXPORT_STORE`, and for a bucket all variables that start with `AWS_`; the inner `None` means the database.
#[must_use]
pub fn read(env: &mut EnvVars) -> Option<Option<ObjectSettings>> {
    let store = env.optional(Setting::open("EXPORT_STORE", "s3://bucket/prefix"), Store::Database)?;
    Some(match store {
        Store::Database => None,
        Store::Folder(folder) => Some(ObjectSettings::Folder(folder.into())),
        Store::Bucket(url) => {
            let outbound = outbound::read(env)?;
            check_endpoint(env)?;
            Some(ObjectSettings::Bucket { url, options: env.with_prefix(AWS_PREFIX), outbound })
        }
    })
}

/// Exported files contain personal data. `AWS_ALLOW_HTTP` is the name that the tools of AWS-compatible stores use.
fn check_endpoint(env: &mut EnvVars) -> Option<()> {
    let allowed = env.optional(Setting::open("AWS_ALLOW_HTTP", "true"), Switch(false))?;
    let setting = Setting::open("AWS_ENDPOINT", "https://storage.example.com");
    let Some(text) = env.text(setting.name) else { return Some(()) };
    let url = env.parse(setting, &text)?;
    if allowed.0 || outbound::is_private(&url) {
        return Some(());
    }
    let problem = "would send exported files and credentials unencrypted: use https, or set AWS_ALLOW_HTTP=true";
    env.error(setting, Some(&text), problem);
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_pairs(pairs: &[(&str, &str)]) -> Result<Option<ObjectSettings>, String> {
        let mut env = EnvVars::from_pairs(pairs.iter().copied());
        let read = read(&mut env);
        env.finish(read).map_err(|error| error.to_string())
    }

    #[test]
    fn setting_selects_the_store() {
        assert_eq!(read_pairs(&[]), Ok(None));
        assert_eq!(read_pairs(&[("EXPORT_STORE", "database")]), Ok(None));
        let folder = read_pairs(&[("EXPORT_STORE", "file:///srv/exports")]);
        assert_eq!(folder, Ok(Some(ObjectSettings::Folder("/srv/exports".into()))));
        let bucket = read_pairs(&[("EXPORT_STORE", "s3://finance/psp"), ("AWS_REGION", "eu-west-1"), ("HOME", "/")]);
        let Ok(Some(ObjectSettings::Bucket { url, options, .. })) = bucket else { panic!("{bucket:?}") };
        assert_eq!((url.as_str(), options.len(), options[0].0.as_str()), ("s3://finance/psp", 1, "AWS_REGION"));
        for wrong in ["s3://", "file://here", "somewhere", "gs://bucket"] {
            assert!(
                read_pairs(&[("EXPORT_STORE", wrong)]).is_err_and(|error| error.contains("EXPORT_STORE")),
                "{wrong}"
            );
        }
    }

    #[test]
    fn bucket_is_reached_over_tls() {
        for (endpoint, allow, accepted) in [
            ("https://storage.example.com", "", true),
            ("http://storage.example.com", "", false),
            ("http://storage.example.com", "true", true),
            ("http://127.0.0.1:9000", "", true),
        ] {
            let read = read_pairs(&[
                ("EXPORT_STORE", "s3://finance/psp"),
                ("AWS_ENDPOINT", endpoint),
                ("AWS_ALLOW_HTTP", allow),
            ]);
            assert_eq!(read.is_ok(), accepted, "{endpoint} {allow}: {read:?}");
        }
    }
}
