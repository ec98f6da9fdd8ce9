//! An address that leads to one server and then to another, as the address of a service does in a failover. Connections stay
//! with the server that they were opened to.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;

pub(crate) struct Switch {
    pub(crate) port: u16,
    target: Arc<AtomicU16>,
    task: AbortHandle,
}

impl Switch {
    /// Leads to a port of this machine.
    pub(crate) async fn start(target: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("a bound socket").port();
        let target = Arc::new(AtomicU16::new(target));
        let task = tokio::spawn(forward(listener, Arc::clone(&target))).abort_handle();
        Self { port, target, task }
    }

    /// Leads new connections to another port.
    pub(crate) fn turn_to(&self, target: u16) {
        self.target.store(target, Ordering::Relaxed);
    }
}

impl Drop for Switch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn forward(listener: TcpListener, target: Arc<AtomicU16>) {
    while let Ok((mut client, _)) = listener.accept().await {
        let port = target.load(Ordering::Relaxed);
        tokio::spawn(async move {
            if let Ok(mut server) = TcpStream::connect(("127.0.0.1", port)).await {
                let _ended = copy_bidirectional(&mut client, &mut server).await;
            }
        });
    }
}
