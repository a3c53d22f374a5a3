//! The listener: HTTP/1.1 with bounds on connections, header size and the time a client may take to send one.

use super::{Metrics, guard::Peer};
use axum::{Router, http::Request};
use hyper::{
    body::Incoming,
    server::conn::http1,
    service::{Service as _, service_fn},
};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use std::{future::Future, net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
    task::JoinSet,
};

/// What one listener allows.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Open connections; each carries one request at a time. One more is closed at once.
    pub connections: usize,
    /// Header lines of a request.
    pub headers: usize,
    /// Bytes of a request's head.
    pub head: usize,
    /// Time for a request's head to arrive, counted from the end of the former answer: also how long a connection may idle.
    pub head_within: Duration,
    /// How long open requests may go on after a stop.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 4_096,
            headers: 64,
            head: 16 * 1024,
            head_within: Duration::from_secs(15),
            drain: Duration::from_secs(10),
        }
    }
}

/// Serves `router` until `stop` is done, then finishes open requests and returns. Afterwards [`super::WebState::flush`] stores
/// what is still in memory.
pub async fn serve(listener: TcpListener, router: Router, metrics: Metrics, limits: Limits, stop: impl Future<Output = ()>) {
    let slots = Arc::new(Semaphore::new(limits.connections));
    let (stopping, stopped) = watch::channel(false);
    let mut open = JoinSet::new();
    tokio::pin!(stop);
    loop {
        let (stream, address) = tokio::select! {
            () = &mut stop => break,
            // Reaping keeps the set as small as the number of open connections.
            Some(_) = open.join_next() => continue,
            accepted = listener.accept() => match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    pause_after(&error).await;
                    continue;
                }
            },
        };
        let Ok(slot) = Arc::clone(&slots).try_acquire_owned() else {
            metrics.refused_connections.inc();
            continue;
        };
        let (router, metrics, stopped) = (router.clone(), metrics.clone(), stopped.clone());
        open.spawn(async move {
            metrics.connections.inc();
            connection(stream, address, router, limits, stopped).await;
            metrics.connections.dec();
            drop(slot);
        });
    }
    drop(listener);
    let _ = stopping.send(true);
    let drained = tokio::time::timeout(limits.drain, async { while open.join_next().await.is_some() {} }).await;
    if drained.is_err() {
        tracing::warn!(connections = open.len(), "requests were cut off at the stop");
    }
}

async fn connection(stream: TcpStream, address: SocketAddr, router: Router, limits: Limits, mut stopped: watch::Receiver<bool>) {
    // Small answers must not wait for the acknowledgement of earlier ones.
    let _ = stream.set_nodelay(true);
    let handler = TowerToHyperService::new(router);
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(Peer(address));
        handler.call(request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head_within)
        .max_headers(limits.headers)
        .max_buf_size(limits.head.max(8_192))
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let stop = async move {
        let _ = stopped.wait_for(|stopped| *stopped).await;
    };
    // Errors here are the client's: broken requests, closed connections. They say nothing that anyone could act on.
    tokio::select! {
        _ = connection.as_mut() => {}
        () = stop => {
            connection.as_mut().graceful_shutdown();
            let _ = connection.await;
        }
    }
}

/// Out of file handles: accepting again at once would only spin.
async fn pause_after(error: &std::io::Error) {
    let of_the_client = matches!(
        error.kind(),
        std::io::ErrorKind::ConnectionRefused | std::io::ErrorKind::ConnectionAborted | std::io::ErrorKind::ConnectionReset
    );
    if !of_the_client {
        tracing::error!(%error, "a connection could not be accepted");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}
