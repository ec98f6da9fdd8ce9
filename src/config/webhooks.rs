//! How webhooks are delivered.

use super::{EnvVars, Setting, Switch, outbound};
use crate::domain::sealing::SealingKeys;
use crate::outbound::Outbound;

#[derive(Debug, Clone)]
pub struct WebhooksConfig {
    /// Encrypts the secrets of webhooks; without it none can be created.
    pub keys: Option<SealingKeys>,
    /// Whether receivers may be on this machine, also by plain HTTP.
    pub allow_loopback: bool,
    pub outbound: Outbound,
}

impl WebhooksConfig {
    /// Reads `WEBHOOK_ENCRYPTION_KEY`, `ALLOW_LOOPBACK_WEBHOOKS` and `OUTBOUND_PROXY`.
    pub fn read(env: &mut EnvVars) -> Option<Self> {
        let setting = Setting::secret("WEBHOOK_ENCRYPTION_KEY", "KEY, where KEY comes from: openssl rand -hex 32");
        let keys = env
            .text(setting.name)
            .map(|text| text.parse::<SealingKeys>().map_err(|problem| env.error(setting, Some(&text), problem)).ok());
        let allow_loopback = env.optional(Setting::open("ALLOW_LOOPBACK_WEBHOOKS", "true"), Switch(false));
        let outbound = outbound::read(env);
        // The inner `None` is an error that was recorded.
        let keys = keys.map_or(Some(None), |keys| keys.map(Some));
        Some(Self { keys: keys?, allow_loopback: allow_loopback?.0, outbound: outbound? })
    }
}
