//! Sessions over real connections.

use std::time::Duration;

use futures_util::SinkExt;
use poem::listener::{Acceptor, Listener, TcpListener};
use poem::{EndpointExt, Request, Route, Server};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use super::super::message::LONGEST;
use super::super::mount;
use super::*;
use crate::domain::access::Principal;
use crate::web::http::auth::Caller;

const SOON: Duration = Duration::from_secs(5);

type Client = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Serves `hub` while the test runs; returns its address.
async fn serve(hub: &Arc<Hub>) -> String {
    let as_anyone = |mut request: Request| async move {
        request.set_data(Caller(Principal::anyone()));
        Ok(request)
    };
    let route = mount(Route::new(), hub).before(as_anyone);
    let acceptor = TcpListener::bind("127.0.0.1:0").into_acceptor().await.expect("a free port");
    let address = acceptor.local_addr()[0].as_socket_addr().expect("TCP").to_string();
    tokio::spawn(Server::new_with_acceptor(acceptor).run(route));
    address
}

async fn connect(address: &str, query: &str) -> Client {
    connect_async(format!("ws://{address}/ws/updates?{query}")).await.expect("accepted").0
}

/// The next message except pings.
async fn next(client: &mut Client) -> Message {
    loop {
        let message = timeout(SOON, client.next()).await.expect("in time").expect("a message").expect("sound");
        if !message.is_ping() {
            return message;
        }
    }
}

async fn receive(client: &mut Client) -> Value {
    let message = next(client).await;
    serde_json::from_str(message.to_text().expect("text")).expect("JSON")
}

async fn request(client: &mut Client, message: Value) -> Value {
    client.send(Message::text(message.to_string())).await.expect("sent");
    receive(client).await
}

/// The close code of the server, after any messages.
async fn close_code(client: &mut Client) -> u16 {
    loop {
        if let Message::Close(frame) = next(client).await {
            return frame.expect("a code").code.into();
        }
    }
}

fn event(id: i64) -> RecordedEvent {
    new_transactions(id, Source::Vima)
}

#[tokio::test]
async fn session_replies_to_requests_and_sends_events() {
    let feed = FakeFeed::new(vec![event(1), event(2)]);
    let hub = feed.start().await;
    let mut client = connect(&serve(&hub).await, "").await;
    let connected = receive(&mut client).await;
    assert_eq!(
        (&connected["type"], &connected["id"], &connected["last_event_id"]),
        (&json!("connected"), &json!(2), &json!(2))
    );
    assert_eq!(connected["server_version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(hub.clients(), 1);

    feed.commit_and_publish(event(3));
    let received = receive(&mut client).await;
    assert_eq!(
        received,
        json!({"id": 3, "timestamp": "2026-01-15T10:00:00Z", "type": "new_transactions", "source": "vima", "count": 1})
    );

    let pong = request(&mut client, json!({"type": "ping"})).await;
    assert_eq!((&pong["type"], &pong["id"]), (&json!("pong"), &json!(3)));

    let subscribed =
        request(&mut client, json!({"type": "subscribe", "events": ["sync_*"], "sources": ["payshack"]})).await;
    assert_eq!(
        (&subscribed["type"], &subscribed["events"], &subscribed["sources"]),
        (&json!("subscribed"), &json!(["sync_*"]), &json!(["payshack"]))
    );
    feed.commit_and_publish(event(4));
    feed.commit_and_publish(completed(5, Source::Vima));
    feed.commit_and_publish(completed(6, Source::Payshack));
    assert_eq!(receive(&mut client).await["id"], 6);

    let error = request(&mut client, json!({"type": "subscribe", "events": ["nonsense"]})).await;
    assert_eq!((&error["type"], &error["code"]), (&json!("error"), &json!("VALIDATION_ERROR")));
    feed.commit_and_publish(completed(7, Source::Payshack));
    assert_eq!(receive(&mut client).await["id"], 7, "the previous subscription stays");
}

#[tokio::test]
async fn legacy_events_follow_the_events_under_their_other_name() {
    let feed = FakeFeed::new(vec![event(1)]);
    let hub = feed.start_with(EventNames::BothForms).await;
    let mut client = connect(&serve(&hub).await, "since=0").await;
    receive(&mut client).await;
    feed.commit_and_publish(completed(2, Source::Vima));
    feed.commit_and_publish(event(3));
    let mut received = vec![];
    for _ in 0..5 {
        received.push(receive(&mut client).await);
    }
    let names = ["new_transactions", "new_transaction", "sync_completed", "new_transactions", "new_transaction"];
    assert_eq!(received.iter().map(|message| message["type"].clone()).collect::<Vec<_>>(), names.map(Value::from));
    let mut renamed = received[3].clone();
    renamed["type"] = received[4]["type"].clone();
    assert_eq!(renamed, received[4], "the rest is the same, the id included");

    let subscribed = request(&mut client, json!({"type": "subscribe", "events": ["new_transaction"]})).await;
    assert_eq!(subscribed["events"], json!(["new_transactions"]));
    feed.commit_and_publish(completed(4, Source::Vima));
    feed.commit_and_publish(event(5));
    assert_eq!(
        (receive(&mut client).await["id"].clone(), receive(&mut client).await["id"].clone()),
        (json!(5), json!(5))
    );
}

#[tokio::test]
async fn reconnecting_client_is_notified_of_a_gap_first() {
    let feed = FakeFeed::new((5..=8).map(event).collect());
    let hub = feed.start().await;
    let address = serve(&hub).await;
    let mut client = connect(&address, "&since=6").await;
    let received = [receive(&mut client).await, receive(&mut client).await, receive(&mut client).await];
    assert_eq!(
        received.map(|message| (message["type"].clone(), message["id"].clone())),
        [(json!("connected"), json!(6)), (json!("new_transactions"), json!(7)), (json!("new_transactions"), json!(8)),]
    );
    let mut client = connect(&address, "&since=1").await;
    let received = [receive(&mut client).await, receive(&mut client).await, receive(&mut client).await];
    assert_eq!(received[1]["since"], 1);
    assert_eq!(
        received.map(|message| (message["type"].clone(), message["id"].clone())),
        [(json!("connected"), json!(4)), (json!("gap"), json!(4)), (json!("new_transactions"), json!(5)),]
    );
    let mut client = connect(&address, "&since=yesterday").await;
    assert_eq!(receive(&mut client).await["type"], "connected");
    assert_eq!(receive(&mut client).await["type"], "error");
}

#[tokio::test]
async fn unreadable_message_gets_an_error_and_oversized_message_closes_the_socket() {
    let hub = FakeFeed::new(vec![]).start().await;
    let address = serve(&hub).await;
    let mut client = connect(&address, "").await;
    receive(&mut client).await;
    for message in [
        Message::text("{"),
        Message::text("[]"),
        Message::text(r#"{"kind":"ping"}"#),
        Message::text(r#"{"type":"dance"}"#),
        Message::binary(vec![0, 159, 146, 150]),
        Message::text("x".repeat(LONGEST)),
    ] {
        client.send(message).await.expect("sent");
        assert_eq!(receive(&mut client).await["type"], "error");
    }
    for length in [LONGEST + 1, 100 << 10, 900 << 10, 3 << 20] {
        for message in [Message::text("x".repeat(length)), Message::binary(vec![0; length])] {
            let mut client = connect(&address, "").await;
            // A message above the limit of the library may not be sent completely; the close still arrives.
            let (mut sink, mut stream) = futures_util::StreamExt::split(&mut client);
            let (_, code) = tokio::join!(sink.send(message), async {
                loop {
                    match timeout(SOON, stream.next()).await.expect("in time") {
                        Some(Ok(Message::Close(Some(frame)))) => return u16::from(frame.code),
                        Some(Ok(_)) => {}
                        other => panic!("{length}: {other:?}"),
                    }
                }
            });
            assert_eq!(code, 1009, "{length}");
        }
    }
}

#[tokio::test]
async fn sockets_are_closed_at_shutdown() {
    let hub = FakeFeed::new(vec![]).start().await;
    let address = serve(&hub).await;
    let mut client = connect(&address, "").await;
    receive(&mut client).await;
    let listening = async {
        let code = close_code(&mut client).await;
        // The library confirms the close when the stream is polled.
        while client.next().await.is_some() {}
        code
    };
    let (code, ()) = tokio::join!(listening, hub.close());
    assert_eq!((code, hub.clients()), (1001, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn client_that_does_not_read_is_closed_and_slows_no_other() {
    const LAST: i64 = 3_000;
    let feed = FakeFeed::new(vec![]);
    let hub = feed.start().await;
    let address = serve(&hub).await;
    let (mut slow, mut quick) = (connect(&address, "").await, connect(&address, "").await);
    receive(&mut quick).await;
    let writing = async {
        for id in 1..=LAST {
            let error = "no disk ".repeat(1_000);
            feed.commit_and_publish(recorded(
                id,
                Event::JobFailed { kind: "export".to_owned(), job_id: Uuid::nil(), error },
            ));
            if id % 50 == 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    };
    let listening = async {
        for id in 1..=LAST {
            assert_eq!(receive(&mut quick).await["id"], id);
        }
    };
    tokio::join!(writing, listening);
    assert_eq!(close_code(&mut slow).await, 1013);
}
