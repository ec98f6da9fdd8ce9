//! Where reports may be sent, and where their readers find the dashboard.

use super::sign_in::{PublicUrl, read_public_url};
use super::{EnvVars, Setting};
use crate::domain::reports::recipients::AllowedRecipients;

/// What `psp-jobs` needs to send reports.
#[derive(Debug, Clone, Default)]
pub struct ReportsConfig {
    pub recipients: AllowedRecipients,
    pub public_url: Option<PublicUrl>,
}

impl ReportsConfig {
    /// Reads `REPORT_EMAIL_ALLOWED` and `PUBLIC_URL`.
    pub fn read(env: &mut EnvVars) -> Option<Self> {
        let (recipients, public_url) = (read_recipients(env), read_public_url(env));
        Some(Self { recipients: recipients?, public_url: public_url? })
    }

    /// The address of a path of the API; without `PUBLIC_URL` the path alone.
    #[must_use]
    pub fn link(&self, path: &str) -> String {
        format!("{}{path}", self.public_url.as_ref().map_or("", PublicUrl::origin))
    }
}

/// Reads `REPORT_EMAIL_ALLOWED`.
pub(super) fn read_recipients(env: &mut EnvVars) -> Option<AllowedRecipients> {
    env.optional(
        Setting::open("REPORT_EMAIL_ALLOWED", "finance@example.com,@example.com"),
        AllowedRecipients::default(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<ReportsConfig, String> {
        let mut env = EnvVars::from_pairs(pairs.iter().copied());
        let read = ReportsConfig::read(&mut env);
        env.finish(read).map_err(|error| error.to_string())
    }

    #[test]
    fn recipients_and_links_follow_from_the_settings() {
        let none = read(&[]).expect("nothing is required");
        assert!(none.recipients.is_empty());
        assert_eq!(none.link("/api"), "/api");
        let both = [("REPORT_EMAIL_ALLOWED", "@example.com"), ("PUBLIC_URL", "https://dash.example.com")];
        let both = read(&both).expect("valid settings");
        assert!(both.recipients.allow(&"a@example.com".parse().expect("an address")));
        assert_eq!(both.link("/api"), "https://dash.example.com/api");
        assert!(read(&[("REPORT_EMAIL_ALLOWED", "nobody")]).is_err_and(|error| error.contains("REPORT_EMAIL_ALLOWED")));
    }
}
