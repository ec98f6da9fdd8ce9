//! Sends a message by the Bot API of Telegram.

use std::time::Duration;

use reqwest::{Client, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use super::DeliveryError;
use crate::config::TelegramConfig;
use crate::outbound::causes;

const TIMEOUT: Duration = Duration::from_secs(15);
/// What Telegram accepts is 4096 characters.
const MAX_CHARS: usize = 4_000;

#[derive(Debug)]
pub struct TelegramSender {
    client: Client,
    config: TelegramConfig,
}

#[derive(Debug, Default, Deserialize)]
struct Refusal {
    #[serde(default)]
    description: String,
    #[serde(default)]
    parameters: RefusalParameters,
}

#[derive(Debug, Default, Deserialize)]
struct RefusalParameters {
    retry_after: Option<u64>,
}

impl TelegramSender {
    /// # Errors
    /// If TLS cannot be set up.
    pub fn new(config: TelegramConfig) -> Result<Self, reqwest::Error> {
        Ok(Self { client: config.outbound.client()?.timeout(TIMEOUT).build()?, config })
    }

    pub async fn send(&self, title: &str, body: &str) -> Result<(), DeliveryError> {
        let text: String = format!("{title}\n{body}").chars().take(MAX_CHARS).collect();
        self.call("sendMessage", &json!({"chat_id": self.config.chat_id, "text": text})).await
    }

    /// Asks for the chat, which the bot must have been added to.
    pub async fn check(&self) -> Result<(), DeliveryError> {
        self.call("getChat", &json!({"chat_id": self.config.chat_id})).await
    }

    async fn call(&self, method: &str, payload: &Value) -> Result<(), DeliveryError> {
        let TelegramConfig { base_url, token, .. } = &self.config;
        let url = format!("{}/bot{}/{method}", base_url.as_str().trim_end_matches('/'), token.expose());
        let request = self.client.post(url).header("content-type", "application/json").body(payload.to_string());
        // The URL contains the token.
        let unreachable = |error: reqwest::Error| {
            DeliveryError::Unreachable(format!("Telegram cannot be reached: {}", causes(&error.without_url())))
        };
        let response = request.send().await.map_err(unreachable)?;
        let status = response.status();
        if status.is_success() {
            return Ok(());
        }
        let refusal: Refusal =
            response.bytes().await.ok().and_then(|body| serde_json::from_slice(&body).ok()).unwrap_or_default();
        let reason = format!("Telegram replied {}: {}", status.as_u16(), refusal.description);
        match (status, refusal.parameters.retry_after) {
            (StatusCode::TOO_MANY_REQUESTS, wait) => {
                Err(DeliveryError::Limited(Duration::from_secs(wait.unwrap_or(30))))
            }
            (StatusCode::BAD_REQUEST | StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::NOT_FOUND, _) => {
                Err(DeliveryError::Refused(format!("{reason}; check TELEGRAM_BOT_TOKEN and TELEGRAM_CHAT_ID")))
            }
            _ => Err(DeliveryError::Unreachable(reason)),
        }
    }
}
