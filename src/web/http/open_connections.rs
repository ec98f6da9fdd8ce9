//! The connections of a process, so that silent ones make room for others.
//!
//! Clients that connect and send nothing could otherwise occupy every place until their time is over, and nobody else could
//! connect. A limit per address was rejected: behind a proxy, all clients have its address.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

use super::connection::Activity;

/// In the order in which they were accepted.
#[derive(Debug, Clone, Default)]
pub(super) struct OpenConnections(Arc<Mutex<List>>);

#[derive(Debug, Default)]
struct List {
    next: u64,
    connections: BTreeMap<u64, Connection>,
}

#[derive(Debug)]
struct Connection {
    activity: Activity,
    close: CancellationToken,
}

/// A connection, until it is dropped.
pub(super) struct Registration {
    connections: OpenConnections,
    number: u64,
    close: CancellationToken,
}

impl OpenConnections {
    pub(super) fn register(&self, activity: Activity) -> Registration {
        let close = CancellationToken::new();
        let mut list = self.list();
        let number = list.next;
        list.next += 1;
        list.connections.insert(number, Connection { activity, close: close.clone() });
        drop(list);
        Registration { connections: self.clone(), number, close }
    }

    /// Closes the connection that has been silent for longest: one that never sent a request, otherwise one without an open
    /// request. Returns whether there is one.
    pub(super) fn close_silent(&self) -> bool {
        let mut list = self.list();
        let find = |silent: fn(&Activity) -> bool| {
            list.connections.iter().find(|(_, connection)| silent(&connection.activity)).map(|(number, _)| *number)
        };
        let number = find(Activity::is_unused).or_else(|| find(Activity::is_idle));
        let closed = number.and_then(|number| list.connections.remove(&number));
        if let Some(connection) = &closed {
            connection.close.cancel();
        }
        closed.is_some()
    }

    fn list(&self) -> MutexGuard<'_, List> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Registration {
    /// Ends when the connection must make room.
    pub(super) async fn closed(&self) {
        self.close.cancelled().await;
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.connections.list().connections.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unused_connections_make_room_first_and_busy_ones_never() {
        let connections = OpenConnections::default();
        let register = || {
            let activity = Activity::default();
            (connections.register(activity.clone()), activity)
        };
        let [idle, busy, first, second] = [register(), register(), register(), register()];
        drop(idle.1.open_request());
        let _request = busy.1.open_request();
        let closed = |connection: &(Registration, Activity)| connection.0.close.is_cancelled();
        for (expected, what) in [(&first, "the oldest unused"), (&second, "the next"), (&idle, "then an idle one")] {
            assert!(!closed(expected) && connections.close_silent() && closed(expected), "{what}");
        }
        assert!(!connections.close_silent() && !closed(&busy));
        drop(busy);
        assert!(connections.list().connections.is_empty());
    }
}
