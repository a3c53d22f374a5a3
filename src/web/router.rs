//! Which path goes where, with the limits that hold for all of them.

use super::{
    WebState,
    body::FREE,
    health, hooks,
    metrics::{RequestLabels, RouteLabels},
    pages::{Language, Page},
    redirect, reply, signals, unsubscribe,
};
use axum::{
    Router,
    extract::{DefaultBodyLimit, Request, State},
    http::{HeaderMap, Method, StatusCode, Uri},
    middleware::{Next, from_fn_with_state},
    response::Response,
    routing::{MethodRouter, get, post},
};
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;

/// How long one request may take, its body included.
const PATIENCE: Duration = Duration::from_secs(15);

/// What the outside may reach: `/r`, `/u`, `/hooks`, `/v1`.
pub fn public_router(state: Arc<WebState>) -> Router {
    let route = |path: &'static str, handler: MethodRouter<Arc<WebState>>| watched(&state, path, handler);
    Router::new()
        .route("/r/{id}", route("/r/{id}", get(redirect::open)))
        .route("/u/{id}", route("/u/{id}", get(unsubscribe::ask).post(unsubscribe::act)))
        .route("/hooks/{namespace}/{channel}/{provider}/{kind}", route("/hooks", get(hooks::report).post(hooks::report)))
        .route("/hooks/{namespace}/{channel}/{provider}/{kind}/{key}", route("/hooks", get(hooks::report).post(hooks::report)))
        .route("/v1/signals", route("/v1/signals", post(signals::receive)))
        // Anybody may send a form; signals and reports are read by `Room`.
        .layer(DefaultBodyLimit::max(FREE))
        .route("/robots.txt", get(robots))
        .fallback(not_found)
        .method_not_allowed_fallback(wrong_method)
        .with_state(state)
}

/// What only the platform may reach: `/healthz`, `/readyz`, `/metrics`. Belongs on a listener of its own.
pub fn admin_router(state: Arc<WebState>) -> Router {
    admin_routes().fallback(not_found).method_not_allowed_fallback(wrong_method).with_state(state)
}

/// Both on one listener: for a laptop.
pub fn router(state: Arc<WebState>) -> Router {
    public_router(Arc::clone(&state)).merge(admin_routes().with_state(state))
}

fn admin_routes() -> Router<Arc<WebState>> {
    Router::new().route("/healthz", get(health::alive)).route("/readyz", get(health::ready)).route("/metrics", get(health::metrics))
}

/// What `watch` knows of its route.
#[derive(Clone)]
struct Watched {
    web: Arc<WebState>,
    route: &'static str,
}

/// The handler with its limit of time and its counters.
fn watched(web: &Arc<WebState>, route: &'static str, handler: MethodRouter<Arc<WebState>>) -> MethodRouter<Arc<WebState>> {
    handler.layer(from_fn_with_state(Watched { web: Arc::clone(web), route }, watch))
}

async fn watch(State(Watched { web, route }): State<Watched>, request: Request, next: Next) -> Response {
    let began = Instant::now();
    let method = match *request.method() {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        _ => "other",
    };
    let response = tokio::time::timeout(PATIENCE, next.run(request))
        .await
        .unwrap_or_else(|_| reply::plain(StatusCode::SERVICE_UNAVAILABLE, "this took too long; try again later\n"));
    web.metrics.requests.get_or_create(&RequestLabels { route, method, status: response.status().as_u16() }).inc();
    web.metrics.seconds.get_or_create(&RouteLabels { route }).observe(began.elapsed().as_secs_f64());
    response
}

/// Every address here belongs to one client: there is nothing to crawl.
async fn robots() -> Response {
    reply::plain(StatusCode::OK, "User-agent: *\nDisallow: /\n")
}

/// Programs get JSON, people a page.
async fn not_found(State(web): State<Arc<WebState>>, uri: Uri, headers: HeaderMap) -> Response {
    if uri.path().starts_with("/v1/") {
        return reply::problem(StatusCode::NOT_FOUND, "there is nothing at this address", "signals go to /v1/signals");
    }
    reply::page(StatusCode::NOT_FOUND, Language::of(&headers, &web.settings().language), &Page::NotFound)
}

async fn wrong_method(State(web): State<Arc<WebState>>, uri: Uri, headers: HeaderMap) -> Response {
    if uri.path().starts_with("/v1/") {
        return reply::problem(StatusCode::METHOD_NOT_ALLOWED, "this method is not allowed here", "use POST");
    }
    reply::page(StatusCode::METHOD_NOT_ALLOWED, Language::of(&headers, &web.settings().language), &Page::Refused)
}
