//! Where files that were exported are kept until they are downloaded.

use std::str::FromStr;

use super::{EnvVars, Setting};
use crate::objects::ObjectSettings;

/// What names the keys, the region and the endpoint of a store that speaks S3.
const OF_AWS: &str = "AWS_";

/// What `EXPORT_STORE` says.
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

/// Reads `EXPORT_STORE`, and for a bucket everything that begins with `AWS_`; none where files are kept in the database.
#[expect(clippy::option_option, reason = "the outer says whether it could be read, the inner what was said")]
pub(super) fn read(environment: &mut EnvVars) -> Option<Option<ObjectSettings>> {
    let store = environment.optional(Setting::open("EXPORT_STORE", "s3://bucket/prefix"), Store::Database)?;
    Some(match store {
        Store::Database => None,
        Store::Folder(folder) => Some(ObjectSettings::Folder(folder.into())),
        Store::Bucket(url) => Some(ObjectSettings::Bucket { url, options: environment.beginning_with(OF_AWS) }),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pairs: &[(&str, &str)]) -> Result<Option<ObjectSettings>, String> {
        let mut environment = EnvVars::from_pairs(pairs.iter().copied());
        let read = read(&mut environment);
        environment.finish(read).map_err(|error| error.to_string())
    }

    #[test]
    fn files_are_kept_where_the_setting_says() {
        assert_eq!(of(&[]), Ok(None));
        assert_eq!(of(&[("EXPORT_STORE", "database")]), Ok(None));
        let folder = of(&[("EXPORT_STORE", "file:///srv/exports")]);
        assert_eq!(folder, Ok(Some(ObjectSettings::Folder("/srv/exports".into()))));
        let bucket = of(&[("EXPORT_STORE", "s3://finance/psp"), ("AWS_REGION", "eu-west-1"), ("HOME", "/")]);
        let Ok(Some(ObjectSettings::Bucket { url, options })) = bucket else { panic!("{bucket:?}") };
        assert_eq!((url.as_str(), options.len(), options[0].0.as_str()), ("s3://finance/psp", 1, "AWS_REGION"));
        for wrong in ["s3://", "file://here", "somewhere", "gs://bucket"] {
            assert!(of(&[("EXPORT_STORE", wrong)]).is_err_and(|error| error.contains("EXPORT_STORE")), "{wrong}");
        }
    }
}
