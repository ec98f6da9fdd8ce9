//! Whether alerts can be announced where the settings say. Nothing is sent.

use super::finding::Finding;
use crate::config::{EnvVars, NotificationsConfig};
use crate::operations::alerts::deliver::Channels;

/// Nothing if the settings are invalid anyway.
pub(super) async fn check_channels() -> Vec<Finding> {
    let Some(config) = NotificationsConfig::read(&mut EnvVars::from_process()) else { return vec![] };
    let checked = match Channels::new(&config) {
        Ok(channels) => channels.check().await,
        Err(error) => return vec![Finding::Failed(format!("alerts: {error}"))],
    };
    if checked.is_empty() {
        return vec![Finding::Ok(
            "alerts: events and webhooks only; Telegram and e-mail are not configured".to_owned(),
        )];
    }
    let findings = checked.into_iter().map(|(channel, result)| match result {
        Ok(()) => Finding::Ok(format!("alerts: {} accepts messages", channel.as_str())),
        // The programs start without it, and repeat their messages.
        Err(error) => Finding::Warning(format!("alerts: {}: {error}", channel.as_str())),
    });
    findings.collect()
}
