//! Reads environment variables and reports all errors at once.
//!
//! Reading continues after an error, so that an operator can fix all variables in one go instead of one per start.

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;

use crate::domain::secret::Secret;

/// The variables of the process, which override those of a `.env` file.
#[derive(Debug)]
pub struct EnvVars {
    values: HashMap<String, Secret>,
    errors: Vec<EnvError>,
}

/// A variable that is missing or invalid.
#[derive(Debug, Clone, PartialEq, Eq)]
struct EnvError {
    name: &'static str,
    found: Option<String>,
    problem: String,
    example: &'static str,
}

/// Every variable that is missing or invalid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct ConfigError(Vec<EnvError>);

impl fmt::Display for ConfigError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "the environment is incomplete or invalid:")?;
        for error in &self.0 {
            write!(out, "  {}: {}", error.name, error.problem)?;
            if let Some(found) = &error.found {
                write!(out, " (found: {found})")?;
            }
            writeln!(out, "; for example {}={}", error.name, error.example)?;
        }
        write!(out, "Set them in the env or in .env; .env.example shows every setting.")
    }
}

/// How a variable is named in errors.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    pub name: &'static str,
    /// A valid value, for the error message.
    pub example: &'static str,
    /// The value must never be printed.
    pub secret: bool,
}

impl Setting {
    #[must_use]
    pub const fn open(name: &'static str, example: &'static str) -> Self {
        Self { name, example, secret: false }
    }

    #[must_use]
    pub const fn secret(name: &'static str, example: &'static str) -> Self {
        Self { name, example, secret: true }
    }
}

impl EnvVars {
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the only place that reads the environment")]
    pub fn from_process() -> Self {
        let from_file = dotenvy::dotenv_iter().into_iter().flatten().flatten();
        let from_process =
            std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        Self::from_pairs(from_file.chain(from_process))
    }

    /// If a name occurs twice, the last value counts.
    pub fn from_pairs(pairs: impl IntoIterator<Item = (impl Into<String>, impl Into<String>)>) -> Self {
        let values = pairs.into_iter().map(|(name, value)| (name.into(), Secret::new(value.into()))).collect();
        Self { values, errors: vec![] }
    }

    /// `None` if the variable is missing or blank.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<String> {
        let value = self.values.get(name)?.expose().trim();
        (!value.is_empty()).then(|| value.to_owned())
    }

    /// The user of the operating system who runs the program, for the audit log.
    #[must_use]
    pub fn os_user(&self) -> String {
        use std::os::unix::fs::MetadataExt;
        let by_name = self.text("USER").or_else(|| self.text("LOGNAME"));
        // In containers, the variables are often missing.
        let by_id = || std::fs::metadata("/proc/self").map(|process| format!("uid {}", process.uid())).ok();
        by_name.or_else(by_id).unwrap_or_else(|| "unknown".to_owned())
    }

    /// All variables whose names start with `prefix`.
    #[must_use]
    pub fn with_prefix(&self, prefix: &str) -> Vec<(String, Secret)> {
        let named = self.values.iter().filter(|(name, _)| name.starts_with(prefix));
        named.map(|(name, value)| (name.clone(), value.clone())).collect()
    }

    pub fn required<T: FromStr>(&mut self, setting: Setting) -> Option<T>
    where
        T::Err: fmt::Display,
    {
        let Some(text) = self.text(setting.name) else {
            self.error(setting, None, "is required");
            return None;
        };
        self.parse(setting, &text)
    }

    /// A variable with a deerror.
    pub fn optional<T: FromStr>(&mut self, setting: Setting, default: T) -> Option<T>
    where
        T::Err: fmt::Display,
    {
        match self.text(setting.name) {
            Some(text) => self.parse(setting, &text),
            None => Some(default),
        }
    }

    /// Parses `text` as the value of `setting`.
    pub fn parse<T: FromStr>(&mut self, setting: Setting, text: &str) -> Option<T>
    where
        T::Err: fmt::Display,
    {
        match text.parse() {
            Ok(value) => Some(value),
            Err(problem) => {
                let problem =
                    if setting.secret { "cannot be read".to_owned() } else { format!("cannot be read, {problem}") };
                self.error(setting, Some(text), &problem);
                None
            }
        }
    }

    /// Records an error that only the caller can detect.
    pub fn error(&mut self, setting: Setting, found: Option<&str>, problem: &str) {
        let found = found.map(|text| {
            if setting.secret {
                format!("{} characters, hidden", text.chars().count())
            } else {
                format!("\"{}\"", text.chars().take(80).collect::<String>())
            }
        });
        let error = EnvError { name: setting.name, found, problem: problem.to_owned(), example: setting.example };
        // Several parts of the configuration may read the same variable.
        if !self.errors.contains(&error) {
            self.errors.push(error);
        }
    }

    /// The configuration that was read, if nothing was amiss.
    ///
    /// # Errors
    /// [`ConfigError`] with every error.
    pub fn finish<T>(self, read: Option<T>) -> Result<T, ConfigError> {
        match read {
            Some(value) if self.errors.is_empty() => Ok(value),
            _ => Err(ConfigError(self.errors)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_errors_are_reported_without_secrets() {
        let mut env = EnvVars::from_pairs([("PORT", "eighty"), ("KEY", "s3cret"), ("EMPTY", " ")]);
        let port = env.optional::<u16>(Setting::open("PORT", "8000"), 8000);
        let key = env.required::<u16>(Setting::secret("KEY", "1"));
        let missing = env.required::<String>(Setting::open("EMPTY", "something"));
        assert_eq!((port, key, &missing), (None, None, &None));
        let message = env.finish(missing).expect_err("three errors").to_string();
        assert!(message.contains("PORT: cannot be read") && message.contains("(found: \"eighty\")"), "{message}");
        assert!(message.contains("KEY: cannot be read (found: 6 characters, hidden)"), "{message}");
        assert!(message.contains("EMPTY: is required; for example EMPTY=something"), "{message}");
        assert!(!message.contains("s3cret"), "{message}");
    }
}
