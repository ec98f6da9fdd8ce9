//! Stand-ins for Telegram and for a mail server.

#![expect(clippy::needless_pass_by_value, reason = "the handlers of poem take their extractors by value")]

use std::sync::{Arc, Mutex, PoisonError};

use poem::http::StatusCode;
use poem::listener::{Acceptor, Listener, TcpListener};
use poem::web::{Data, Path};
use poem::{EndpointExt, IntoResponse, Response, Route, Server, handler, post};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use super::eventually;

pub(crate) const TELEGRAM_TOKEN: &str = "4711:telegram-token-for-tests";
pub(crate) const SMTP_PASSWORD: &str = "smtp-password-for-tests";

#[derive(Default)]
struct State {
    /// What every message is refused with.
    refusal: Option<u16>,
    refused: usize,
    messages: Vec<String>,
}

type Shared = Arc<Mutex<State>>;

/// A channel, and the messages that it has accepted.
pub(crate) struct ChannelStub {
    pub(crate) url: String,
    state: Shared,
    server: JoinHandle<()>,
}

impl ChannelStub {
    pub(crate) async fn telegram() -> Self {
        let acceptor = TcpListener::bind("127.0.0.1:0").into_acceptor().await.expect("a free port");
        let address = acceptor.local_addr().remove(0).as_socket_addr().copied().expect("a TCP address");
        let state = Shared::default();
        let routes = Route::new()
            .at("/bot:token/sendMessage", post(send_message))
            .at("/bot:token/getChat", post(get_chat))
            .data(Arc::clone(&state));
        let server = tokio::spawn(async move {
            Server::new_with_acceptor(acceptor).run(routes).await.expect("the stub serves");
        });
        Self { url: format!("http://{address}"), state, server }
    }

    pub(crate) async fn mail_server() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let state = Shared::default();
        let shared = Arc::clone(&state);
        let server = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(receive_mail(stream, Arc::clone(&shared)));
            }
        });
        Self { url: format!("smtp://alerts:{SMTP_PASSWORD}@{address}"), state, server }
    }

    pub(crate) fn refuse(&self, with: Option<u16>) {
        lock(&self.state).refusal = with;
    }

    pub(crate) fn messages(&self) -> Vec<String> {
        lock(&self.state).messages.clone()
    }

    /// Waits until so many messages were accepted, and returns the last.
    pub(crate) async fn wait_for(&self, count: usize) -> String {
        eventually(&format!("{count} messages"), || async {
            let messages = self.messages();
            messages.last().cloned().filter(|_| messages.len() >= count)
        })
        .await
    }

    pub(crate) async fn wait_for_refusal(&self) {
        eventually("a message to be refused", || async { (lock(&self.state).refused > 0).then_some(()) }).await;
    }
}

impl Drop for ChannelStub {
    fn drop(&mut self) {
        self.server.abort();
    }
}

fn lock(state: &Shared) -> std::sync::MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Accepts a message; or the code with which it is refused.
fn accept(state: &Shared, message: String) -> Result<(), u16> {
    let mut state = lock(state);
    if let Some(code) = state.refusal {
        state.refused += 1;
        return Err(code);
    }
    state.messages.push(message);
    Ok(())
}

#[handler]
fn send_message(state: Data<&Shared>, Path(token): Path<String>, body: String) -> Response {
    let message = read_call(&token, &body);
    let text = message["text"].as_str().expect("a text").to_owned();
    reply(accept(&state, text))
}

#[handler]
fn get_chat(state: Data<&Shared>, Path(token): Path<String>, body: String) -> Response {
    read_call(&token, &body);
    reply(lock(&state).refusal.map_or(Ok(()), Err))
}

fn read_call(token: &str, body: &str) -> Value {
    assert_eq!(token, TELEGRAM_TOKEN);
    let call: Value = serde_json::from_str(body).expect("JSON");
    assert_eq!(call["chat_id"], "-7");
    call
}

fn reply(result: Result<(), u16>) -> Response {
    match result {
        Ok(()) => r#"{"ok":true}"#.with_content_type("application/json").into_response(),
        Err(code) => {
            let status = StatusCode::from_u16(code).expect("a status");
            r#"{"ok":false,"description":"refused","parameters":{"retry_after":1}}"#.with_status(status).into_response()
        }
    }
}

/// As much of SMTP as one message needs.
async fn receive_mail(stream: TcpStream, state: Shared) -> Option<()> {
    let (reader, mut writer) = stream.into_split();
    let mut lines = BufReader::new(reader).lines();
    writer.write_all(b"220 stub ESMTP\r\n").await.ok()?;
    while let Some(line) = lines.next_line().await.ok()? {
        let reply = match line.split_whitespace().next().unwrap_or_default().to_ascii_uppercase().as_str() {
            "EHLO" => "250-stub\r\n250 AUTH PLAIN".to_owned(),
            "AUTH" => "235 welcome".to_owned(),
            "DATA" => {
                writer.write_all(b"354 go on\r\n").await.ok()?;
                let mut message = String::new();
                while let Some(line) = lines.next_line().await.ok()?.filter(|line| line != ".") {
                    message += &(line + "\n");
                }
                accept(&state, message).map_or_else(|code| format!("{code} refused"), |()| "250 accepted".to_owned())
            }
            "QUIT" => {
                writer.write_all(b"221 bye\r\n").await.ok()?;
                return Some(());
            }
            _ => "250 ok".to_owned(),
        };
        writer.write_all(format!("{reply}\r\n").as_bytes()).await.ok()?;
    }
    Some(())
}
