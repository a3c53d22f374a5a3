use super::Site;
use crate::{
    model::Medium,
    web::{EngineState, Limits, NoHooks, admin_router, public_router, serve},
};
use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::oneshot,
};

#[tokio::test]
async fn readiness_says_why_not() {
    let site = Site::start().await;
    let ready = async || {
        let response = site.get("/readyz").send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    };
    assert_eq!(ready().await, (200, "store: ok\nengine: leading\n".into()));
    site.engine.send(EngineState::Standby).unwrap();
    assert_eq!(ready().await, (200, "store: ok\nengine: standby\n".into()));
    site.engine.send(EngineState::Failed("the witness is ahead of the database".into())).unwrap();
    assert_eq!(ready().await, (503, "store: ok\nengine: the witness is ahead of the database\n".into()));
    let why = "this machine's clock is 2 min ahead of the database's";
    site.engine.send(EngineState::Idle(why.into())).unwrap();
    assert_eq!(ready().await, (200, format!("store: ok\nengine: {why}\n")), "clients are answered all the same");
    site.engine.send(EngineState::Leading).unwrap();
    site.journal.down.store(true, Ordering::SeqCst);
    let (status, body) = ready().await;
    assert_eq!(status, 503);
    assert!(body.starts_with("store: unavailable"), "{body}");
    assert_eq!(site.get("/healthz").send().await.unwrap().status(), 200, "the process itself is well");
}

#[tokio::test]
async fn admin_paths_are_not_on_the_public_listener() {
    let site = Site::start().await;
    let (public, admin) = (public_router(Arc::clone(&site.state)), admin_router(Arc::clone(&site.state)));
    for (router, paths, status) in
        [(public, ["/healthz", "/readyz", "/metrics"], 404), (admin, ["/r/aB3dE6gH9jK2", "/u/x", "/hooks/a/b/c/receipt"], 404)]
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let task = tokio::spawn(serve(listener, router, site.state.metrics.clone(), Limits::default(), std::future::pending()));
        for path in paths {
            let response = site.client.get(format!("http://{address}{path}")).send().await.unwrap();
            assert_eq!(response.status(), status, "{path}");
        }
        task.abort();
    }
}

#[tokio::test]
async fn metrics_are_openmetrics_and_name_nobody() {
    let site = Site::start().await;
    let effect = site.message(3, Medium::Sms, &["https://novydom.example/"]);
    let path = site.click_path(effect, 0);
    site.get(&path).send().await.unwrap();
    site.get("/nowhere/79990001122").send().await.unwrap();
    let response = site.get("/metrics").send().await.unwrap();
    assert!(response.headers()["content-type"].to_str().unwrap().starts_with("application/openmetrics-text"));
    let text = response.text().await.unwrap();
    assert!(text.ends_with("# EOF\n"));
    assert!(text.contains("rekindle_http_requests_total{route=\"/r/{id}\",method=\"GET\",status=\"302\"} 1"), "{text}");
    assert!(!text.contains("79990001122") && !text.contains(path.trim_start_matches("/r/")));
}

#[tokio::test]
async fn slow_large_and_many_are_bounded() {
    let limits = Limits { connections: 2, head_within: Duration::from_millis(300), ..Limits::default() };
    let site = Site::with(Arc::new(NoHooks), limits).await;

    // A head that never ends: cut off.
    let mut slow = TcpStream::connect(site.address).await.unwrap();
    slow.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n").await.unwrap();
    let mut answer = Vec::new();
    tokio::time::timeout(Duration::from_secs(10), slow.read_to_end(&mut answer)).await.unwrap().unwrap();
    assert!(!answer.starts_with(b"HTTP/1.1 200"));

    // Too large a head.
    let mut large = TcpStream::connect(site.address).await.unwrap();
    let head = format!("GET /healthz HTTP/1.1\r\nHost: x\r\nx: {}\r\n\r\n", "x".repeat(40_000));
    let _ = large.write_all(head.as_bytes()).await;
    let mut answer = vec![0; 64];
    let read = tokio::time::timeout(Duration::from_secs(10), large.read(&mut answer)).await.unwrap().unwrap_or(0);
    assert!(answer[..read].starts_with(b"HTTP/1.1 431") || read == 0, "{}", String::from_utf8_lossy(&answer[..read]));
    drop(large);

    // Too large a body.
    let response = site.post("/u/x").body("x".repeat(70_000)).send().await;
    assert!(response.is_err() || response.is_ok_and(|r| r.status() == 413 || r.status() == 404));

    // A third connection is closed at once.
    let mut waiting = Vec::new();
    for _ in 0..12 {
        waiting.push(TcpStream::connect(site.address).await.unwrap());
    }
    let mut closed = 0;
    for mut stream in waiting {
        let mut byte = [0];
        if tokio::time::timeout(Duration::from_secs(10), stream.read(&mut byte)).await.is_ok_and(|r| r.unwrap_or(0) == 0) {
            closed += 1;
        }
    }
    assert_eq!(closed, 12, "refused at once, or cut off when they sent nothing");
    let refused = site.state.metrics.refused_connections.get();
    assert!(refused >= 8, "{refused}");
}

/// The head of a large request, and nothing after it.
#[tokio::test]
async fn strangers_are_turned_away_before_they_send_a_body() {
    let site = Site::start().await;
    for (path, token, status) in
        [("/v1/signals", "wrong-token-wrong-token", "401"), ("/hooks/marketing/sms/main/receipt?k=wrong", "", "404")]
    {
        let mut stream = TcpStream::connect(site.address).await.unwrap();
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Type: application/cloudevents+json\r\n\
             Content-Length: 1000000\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = vec![0; 64];
        let read =
            tokio::time::timeout(Duration::from_secs(5), stream.read(&mut answer)).await.expect("an answer at once").unwrap();
        let answer = String::from_utf8_lossy(&answer[..read]);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{path}: {answer}");
    }
}

#[tokio::test]
async fn a_stop_finishes_what_is_open() {
    let site = Site::start().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let limits = Limits::default();
    let router = public_router(Arc::clone(&site.state));
    let task = tokio::spawn(serve(listener, router, site.state.metrics.clone(), limits, async move {
        let _ = stopped.await;
    }));
    let mut open = TcpStream::connect(address).await.unwrap();
    open.write_all(b"POST /u/x HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\na").await.unwrap();
    // An answered request on a second connection proves that the first one was accepted before the stop.
    assert_eq!(site.client.get(format!("http://{address}/")).send().await.unwrap().status(), 404);
    stop.send(()).unwrap();
    open.write_all(b"=b").await.unwrap();
    let mut answer = Vec::new();
    open.read_to_end(&mut answer).await.unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 404"), "{}", String::from_utf8_lossy(&answer));
    tokio::time::timeout(Duration::from_secs(10), task).await.unwrap().unwrap();
    assert!(TcpStream::connect(address).await.is_err());
}
