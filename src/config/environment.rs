//! The environment, read once and with all its faults told at once.
//!
//! Reading goes on after a fault, so that whoever sets up a host mends every variable in one go rather than one a start.

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;

use crate::domain::secret::Secret;

/// The variables of the process, over those of a `.env` file where there is one.
#[derive(Debug)]
pub struct EnvVars {
    values: HashMap<String, Secret>,
    faults: Vec<Fault>,
}

/// A variable that is missing or cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Fault {
    name: &'static str,
    found: Option<String>,
    problem: String,
    example: &'static str,
}

/// Every variable that is missing or cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct ConfigError(Vec<Fault>);

impl fmt::Display for ConfigError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "the environment is not complete:")?;
        for fault in &self.0 {
            write!(out, "  {}: {}", fault.name, fault.problem)?;
            if let Some(found) = &fault.found {
                write!(out, " (found: {found})")?;
            }
            writeln!(out, "; for example {}={}", fault.name, fault.example)?;
        }
        write!(out, "Set them in the environment or in .env; .env.example shows every setting.")
    }
}

/// How a variable is read, and what is said where it cannot be.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// The variable.
    pub name: &'static str,
    /// A value that would do.
    pub example: &'static str,
    /// Whether its value must never be printed.
    pub secret: bool,
}

impl Setting {
    /// A setting that may be printed.
    #[must_use]
    pub const fn open(name: &'static str, example: &'static str) -> Self {
        Self { name, example, secret: false }
    }

    /// A setting that must never be printed.
    #[must_use]
    pub const fn secret(name: &'static str, example: &'static str) -> Self {
        Self { name, example, secret: true }
    }
}

impl EnvVars {
    /// The environment of this process.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the environment")]
    pub fn of_process() -> Self {
        let from_file = dotenvy::dotenv_iter().into_iter().flatten().flatten();
        let from_process =
            std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        Self::from_pairs(from_file.chain(from_process))
    }

    /// These variables; of two of one name, the last.
    pub fn from_pairs(pairs: impl IntoIterator<Item = (impl Into<String>, impl Into<String>)>) -> Self {
        let values = pairs.into_iter().map(|(name, value)| (name.into(), Secret::new(value.into()))).collect();
        Self { values, faults: vec![] }
    }

    /// The text of a variable; an empty one counts as missing.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<String> {
        let value = self.values.get(name)?.expose().trim();
        (!value.is_empty()).then(|| value.to_owned())
    }

    /// Every variable whose name begins so, with its value.
    #[must_use]
    pub fn beginning_with(&self, prefix: &str) -> Vec<(String, Secret)> {
        let named = self.values.iter().filter(|(name, _)| name.starts_with(prefix));
        named.map(|(name, value)| (name.clone(), value.clone())).collect()
    }

    /// A variable that must be there.
    pub fn required<T: FromStr>(&mut self, setting: Setting) -> Option<T>
    where
        T::Err: fmt::Display,
    {
        let Some(text) = self.text(setting.name) else {
            self.fault(setting, None, "is required");
            return None;
        };
        self.parse(setting, &text)
    }

    /// A variable with a default.
    pub fn optional<T: FromStr>(&mut self, setting: Setting, default: T) -> Option<T>
    where
        T::Err: fmt::Display,
    {
        match self.text(setting.name) {
            Some(text) => self.parse(setting, &text),
            None => Some(default),
        }
    }

    /// Reads `text` as the value of `setting`.
    pub fn parse<T: FromStr>(&mut self, setting: Setting, text: &str) -> Option<T>
    where
        T::Err: fmt::Display,
    {
        match text.parse() {
            Ok(value) => Some(value),
            Err(problem) => {
                let problem =
                    if setting.secret { "cannot be read".to_owned() } else { format!("cannot be read, {problem}") };
                self.fault(setting, Some(text), &problem);
                None
            }
        }
    }

    /// Notes a fault that only its reader can see.
    pub fn fault(&mut self, setting: Setting, found: Option<&str>, problem: &str) {
        let found = found.map(|text| {
            if setting.secret {
                format!("{} characters, hidden", text.chars().count())
            } else {
                format!("\"{}\"", text.chars().take(80).collect::<String>())
            }
        });
        self.faults.push(Fault { name: setting.name, found, problem: problem.to_owned(), example: setting.example });
    }

    /// The configuration that was read, if nothing was amiss.
    ///
    /// # Errors
    /// [`ConfigError`] with every fault.
    pub fn finish<T>(self, read: Option<T>) -> Result<T, ConfigError> {
        match read {
            Some(value) if self.faults.is_empty() => Ok(value),
            _ => Err(ConfigError(self.faults)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_is_told_and_no_secret() {
        let mut environment = EnvVars::from_pairs([("PORT", "eighty"), ("KEY", "s3cret"), ("EMPTY", " ")]);
        let port = environment.optional::<u16>(Setting::open("PORT", "8000"), 8000);
        let key = environment.required::<u16>(Setting::secret("KEY", "1"));
        let missing = environment.required::<String>(Setting::open("EMPTY", "something"));
        assert_eq!((port, key, &missing), (None, None, &None));
        let message = environment.finish(missing).expect_err("three faults").to_string();
        assert!(message.contains("PORT: cannot be read") && message.contains("(found: \"eighty\")"), "{message}");
        assert!(message.contains("KEY: cannot be read (found: 6 characters, hidden)"), "{message}");
        assert!(message.contains("EMPTY: is required; for example EMPTY=something"), "{message}");
        assert!(!message.contains("s3cret"), "{message}");
    }
}
