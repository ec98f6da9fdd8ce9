//! Whether the secrets of webhooks can be read. A wrong key shows only when a delivery fails otherwise.

use sqlx::PgPool;

use super::finding::Finding;
use crate::config::{EnvVars, WebhooksConfig};
use crate::db::webhooks;

/// Nothing if the settings are invalid anyway.
pub(super) async fn check_webhooks(pool: &PgPool) -> Option<Finding> {
    let keys = WebhooksConfig::read(&mut EnvVars::from_process())?.keys;
    let secrets = match webhooks::list_sealed_secrets(pool).await {
        Ok(secrets) => secrets,
        Err(error) => return Some(Finding::Failed(format!("webhooks: {error}"))),
    };
    let is_readable = |(id, sealed): &(_, Vec<u8>)| keys.as_ref().is_some_and(|keys| keys.open(*id, sealed).is_ok());
    let (all, readable) = (secrets.len(), secrets.iter().filter(|secret| is_readable(secret)).count());
    Some(match (&keys, all) {
        (None, 0) => {
            Finding::Ok("webhooks: there are none, and none can be created without WEBHOOK_ENCRYPTION_KEY".to_owned())
        }
        (None, _) => Finding::Warning(format!(
            "webhooks: nothing can be delivered to {all}; set WEBHOOK_ENCRYPTION_KEY to the key that encrypted their secrets"
        )),
        (Some(_), _) if readable < all => Finding::Warning(format!(
            "webhooks: WEBHOOK_ENCRYPTION_KEY reads the secrets of {readable} of {all}; add its previous value after the current one, \
             or rotate the secrets of the others"
        )),
        (Some(_), _) => Finding::Ok(format!("webhooks: WEBHOOK_ENCRYPTION_KEY reads the secrets of all {all}")),
    })
}
