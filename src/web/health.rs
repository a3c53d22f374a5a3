//! `/healthz`, `/readyz`, `/metrics`: for the platform, on a listener of its own.

use super::{WebState, reply};
use axum::{extract::State, http::StatusCode, response::Response};
use std::{fmt::Write as _, sync::Arc, time::Duration};

/// How long the store may take to answer a ping.
const PATIENCE: Duration = Duration::from_secs(2);

/// What the engine of this process does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum EngineState {
    /// Not yet ready: migrations, first configuration.
    #[default]
    Starting,
    /// It holds the lease.
    Leading,
    /// Another replica holds it; this one answers the web and waits.
    Standby,
    /// It does not send, and why; clients are answered all the same.
    Idle(String),
    /// It cannot work, and why (a sentence without personal data).
    Failed(String),
    Stopping,
}

/// The process answers: nothing else is claimed.
pub(super) async fn alive() -> Response {
    reply::plain(StatusCode::OK, "ok\n")
}

/// Whether this replica can do its part. The body says why not.
pub(super) async fn ready(State(web): State<Arc<WebState>>) -> Response {
    let mut text = String::new();
    let store_ready = match tokio::time::timeout(PATIENCE, web.views.ping()).await {
        Ok(Ok(())) => {
            text.push_str("store: ok\n");
            true
        }
        Ok(Err(error)) => {
            let _ = writeln!(text, "store: {}: {error}", error.label());
            false
        }
        Err(_) => {
            text.push_str("store: does not answer\n");
            false
        }
    };
    let engine = web.engine.borrow().clone();
    let (engine_ready, words) = match &engine {
        EngineState::Leading => (true, "leading"),
        EngineState::Standby => (true, "standby"),
        EngineState::Idle(why) => (true, why.as_str()),
        EngineState::Starting => (false, "starting"),
        EngineState::Stopping => (false, "stopping"),
        EngineState::Failed(why) => (false, why.as_str()),
    };
    let _ = writeln!(text, "engine: {words}");
    reply::plain(if store_ready && engine_ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, text)
}

pub(super) async fn metrics(State(web): State<Arc<WebState>>) -> Response {
    match web.metrics_text() {
        Ok(text) => reply::text(StatusCode::OK, "application/openmetrics-text; version=1.0.0; charset=utf-8", text),
        Err(_) => reply::plain(StatusCode::INTERNAL_SERVER_ERROR, "the metrics cannot be written\n"),
    }
}
