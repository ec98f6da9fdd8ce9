//! Where alerts are announced, besides events and webhooks.

use lettre::message::Mailbox;
use reqwest::Url;

use super::outbound::is_private;
use super::{EnvVars, Setting, outbound, parts};
use crate::domain::secret::Secret;
use crate::outbound::Outbound;

const TELEGRAM_API: &str = "https://api.telegram.org";

#[derive(Debug, Clone)]
pub struct TelegramConfig {
    pub base_url: Url,
    pub token: Secret,
    pub chat_id: String,
    pub outbound: Outbound,
}

#[derive(Debug, Clone)]
pub struct EmailConfig {
    /// It may contain a password.
    pub url: Secret,
    pub from: Mailbox,
    pub to: Vec<Mailbox>,
}

/// A channel without settings is not used.
#[derive(Debug, Clone, Default)]
pub struct NotificationsConfig {
    pub telegram: Option<TelegramConfig>,
    pub email: Option<EmailConfig>,
}

impl NotificationsConfig {
    /// Reads `TELEGRAM_BOT_TOKEN`, `TELEGRAM_CHAT_ID`, `TELEGRAM_API_URL`, `OUTBOUND_PROXY`, `SMTP_URL`, `ALERT_EMAIL_FROM`
    /// and `ALERT_EMAIL_TO`.
    pub fn read(env: &mut EnvVars) -> Option<Self> {
        let telegram = env.text("TELEGRAM_BOT_TOKEN").map(|token| telegram(env, token));
        let email = env.text("SMTP_URL").map(|url| email(env, &url));
        // The inner `None` is an error that was recorded.
        let telegram = telegram.map_or(Some(None), |read| read.map(Some));
        let email = email.map_or(Some(None), |read| read.map(Some));
        Some(Self { telegram: telegram?, email: email? })
    }
}

fn telegram(env: &mut EnvVars, token: String) -> Option<TelegramConfig> {
    let setting = Setting::secret("TELEGRAM_BOT_TOKEN", "123456:token-of-the-bot");
    let is_token = token.chars().all(|letter| letter.is_ascii_alphanumeric() || matches!(letter, ':' | '-' | '_'));
    if !is_token {
        env.error(setting, Some(&token), "must be the token that @BotFather shows");
    }
    let chat_id = env.required::<String>(Setting::open("TELEGRAM_CHAT_ID", "-1001234567890"));
    let setting = Setting::open("TELEGRAM_API_URL", TELEGRAM_API);
    let text = env.text(setting.name).unwrap_or_else(|| TELEGRAM_API.to_owned());
    let base_url = env.parse::<Url>(setting, &text)?;
    if !is_private(&base_url) {
        env.error(setting, Some(&text), "must be an https URL");
        return None;
    }
    let outbound = outbound::read(env)?;
    Some(TelegramConfig { base_url, token: Secret::new(token), chat_id: chat_id?, outbound }).filter(|_| is_token)
}

fn email(env: &mut EnvVars, url: &str) -> Option<EmailConfig> {
    let from = env.required::<Mailbox>(Setting::open("ALERT_EMAIL_FROM", "PSP dashboard <alerts@example.com>"));
    let setting = Setting::open("ALERT_EMAIL_TO", "finance@example.com,ops@example.com");
    let list = env.required::<String>(setting);
    let to: Option<Vec<Mailbox>> = parts(list.as_deref()?).map(|address| env.parse(setting, address)).collect();
    let setting = Setting::secret("SMTP_URL", "smtps://user:password@smtp.example.com");
    let is_encrypted = Url::parse(url).is_ok_and(|url| match url.scheme() {
        "smtps" => true,
        "smtp" => {
            url.query_pairs().any(|pair| pair == ("tls".into(), "required".into()))
                || url.host_str().is_some_and(crate::domain::loopback::is_loopback)
        }
        _ => false,
    });
    if !is_encrypted {
        env.error(setting, Some(url), "must begin with smtps://, or with smtp:// and end with ?tls=required");
        return None;
    }
    Some(EmailConfig { url: Secret::new(url), from: from?, to: to? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_need_their_settings_and_hide_their_secrets() {
        let telegram = [("TELEGRAM_BOT_TOKEN", "1:s3cret"), ("TELEGRAM_CHAT_ID", "-7")];
        let email = [
            ("SMTP_URL", "smtps://me:s3cret@smtp.example.com"),
            ("ALERT_EMAIL_FROM", "Alerts <a@example.com>"),
            ("ALERT_EMAIL_TO", "b@example.com, c@example.com"),
        ];
        let read = |pairs: &[(&str, &str)]| {
            let mut env = EnvVars::from_pairs(pairs.iter().copied());
            let read = NotificationsConfig::read(&mut env);
            env.finish(read).map_err(|error| error.to_string())
        };
        let both = read(&[&telegram[..], &email].concat()).expect("valid settings");
        assert_eq!(both.email.as_ref().map(|email| email.to.len()), Some(2));
        assert!(both.telegram.is_some() && !format!("{both:?}").contains("s3cret"));
        let none = read(&[]).expect("no channel is needed");
        assert!(none.telegram.is_none() && none.email.is_none());
        for (pairs, expected) in [
            (vec![telegram[0]], "TELEGRAM_CHAT_ID"),
            (vec![("TELEGRAM_BOT_TOKEN", "1:s3cret/../x"), telegram[1]], "TELEGRAM_BOT_TOKEN"),
            (vec![telegram[0], telegram[1], ("TELEGRAM_API_URL", "http://example.com")], "TELEGRAM_API_URL"),
            (vec![email[0], email[1]], "ALERT_EMAIL_TO"),
            (vec![email[0], email[1], ("ALERT_EMAIL_TO", "nobody")], "ALERT_EMAIL_TO"),
            (vec![("SMTP_URL", "smtp://me:s3cret@smtp.example.com"), email[1], email[2]], "SMTP_URL"),
        ] {
            let error = read(&pairs).expect_err(expected);
            assert!(error.contains(expected) && !error.contains("s3cret"), "{error}");
        }
        assert!(read(&[("SMTP_URL", "smtp://127.0.0.1:2525"), email[1], email[2]]).is_ok());
    }
}
