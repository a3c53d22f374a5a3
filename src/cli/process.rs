//! What `run` and `operator` have in common: listening, waiting for the store, ending.

use crate::{model::HumanDuration, store::Store};
use axum::{
    Router,
    http::{HeaderName, StatusCode},
    routing::get,
};
use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};
use tokio::{net::TcpListener, sync::watch};
use url::Url;

/// What may be left out, and then is empty, as a chart or a shell writes it.
pub(super) type Maybe<T> = Option<T>;

/// In the place of the installation's own, where nobody follows a link.
pub(super) const EXAMPLE_URL: &str = "https://go.example.com";

/// How clients reach the pages: an address with a host, to which `/r/…` is added.
pub(super) fn public_url(text: &str) -> Result<Maybe<String>, String> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    let write = "write how clients reach the pages, like https://go.example.com";
    let url = Url::parse(text).map_err(|_| format!("not an address: {write}"))?;
    let web = matches!(url.scheme(), "http" | "https") && url.has_host();
    let bare = url.query().is_none() && url.fragment().is_none() && url.username().is_empty() && url.password().is_none();
    if !web || !bare {
        return Err(format!("not http:// or https:// and a host, with nothing after the path: {write}"));
    }
    Ok(Some(url.as_str().trim_end_matches('/').to_owned()))
}

/// The name of a header.
pub(super) fn header_name(text: &str) -> Result<Maybe<HeaderName>, String> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|_| "not the name of a header: write it like x-forwarded-for".into())
}

/// How long a lease may last: a duration like 8s.
pub(super) fn lease(text: &str) -> Result<Duration, String> {
    let lease = text.parse::<HumanDuration>().map_err(|e| e.to_string())?.elapsed();
    let bounds = Duration::from_secs(1)..=Duration::from_hours(1);
    if bounds.contains(&lease) { Ok(lease) } else { Err("write a duration between 1s and 1h".into()) }
}

/// Listens, or says what to write instead.
pub(super) async fn bind(address: SocketAddr, flag: &str) -> Result<TcpListener, String> {
    TcpListener::bind(address).await.map_err(|e| format!("{flag} {address}: {e}; write another address, port 0 takes a free one"))
}

/// Where the store's address stands.
pub(super) enum Address {
    Given(String),
    /// Whoever rotates the password writes it anew.
    File(PathBuf),
}

impl Address {
    fn read(&self) -> Result<String, String> {
        match self {
            Self::Given(address) => Ok(address.clone()),
            Self::File(file) => read(file, STORE_FILE),
        }
    }
}

pub(super) const STORE_FILE: &str = "--store-file";

/// The text of a file that a flag names.
pub(super) fn read(file: &Path, flag: &str) -> Result<String, String> {
    let text = std::fs::read_to_string(file).map_err(|e| format!("{flag} {}: {e}", file.display()))?;
    Ok(text.trim().to_owned())
}

/// How often files with secrets are looked at: whoever writes them anew, as kubelet does, does not restart us.
const LOOK: Duration = Duration::from_secs(5);

/// Hands on what stands in a file, now and whenever it changes. What cannot be used leaves what was in force before.
pub(super) async fn follow(file: PathBuf, flag: &'static str, apply: impl Fn(&str) -> Result<(), String>) {
    let mut last: Option<Result<String, String>> = None;
    loop {
        let now = read(&file, flag);
        if last.as_ref() != Some(&now) {
            match now.clone().and_then(|text| apply(&text)) {
                Ok(()) if last.is_some() => tracing::info!(flag, "its file has changed and is in force"),
                Ok(()) => {}
                Err(error) => tracing::warn!(flag, error, "its file cannot be used; what was read before stays in force"),
            }
            last = Some(now);
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Waits for a store that cannot be reached, answering /healthz and /readyz meanwhile. `None`: told to stop.
pub(super) async fn open(address: &Address, admin: &TcpListener, mut stop: watch::Receiver<bool>) -> Result<Option<Store>, String> {
    let mut waiting: Option<tokio::task::JoinHandle<()>> = None;
    let mut said = "";
    loop {
        match Store::open(&address.read()?).await {
            Ok(store) => {
                if let Some(task) = waiting {
                    task.abort();
                    let _ = task.await;
                    tracing::info!("the store answers");
                }
                return Ok(Some(store));
            }
            // A lost reply to a COMMIT as well: what it wrote is looked for again, as by any process that starts.
            Err(error) if error.temporary() => {
                if std::mem::replace(&mut said, error.label()) != error.label() {
                    tracing::warn!(%error, "waiting for the store");
                }
                if waiting.is_none() {
                    waiting = Some(tokio::spawn(answer_waiting(again(admin)?)));
                }
            }
            Err(error) => return Err(error.to_string()),
        }
        tokio::select! {
            () = tokio::time::sleep(Duration::from_secs(1)) => {}
            _ = stop.wait_for(|stop| *stop) => return Ok(None),
        }
    }
}

/// A second handle to the same listening socket.
fn again(listener: &TcpListener) -> Result<TcpListener, String> {
    use std::os::fd::AsFd;
    let copy = listener.as_fd().try_clone_to_owned().map_err(|e| e.to_string())?;
    TcpListener::from_std(std::net::TcpListener::from(copy)).map_err(|e| e.to_string())
}

async fn answer_waiting(listener: TcpListener) {
    let down = (StatusCode::SERVICE_UNAVAILABLE, "the store cannot be reached yet\n");
    let router = Router::new().route("/healthz", get(|| async { "alive\n" })).route("/readyz", get(move || async move { down }));
    if let Err(error) = axum::serve(listener, router).await {
        tracing::warn!(%error, "health answers ended");
    }
}

/// Turns true when the process is told to end.
pub(super) fn stop_on_signal() -> watch::Receiver<bool> {
    let (sender, stop) = watch::channel(false);
    tokio::spawn(async move {
        stopped_by_signal().await;
        tracing::info!("stopping: what was handed over may land, nothing new starts");
        let _ = sender.send(true);
    });
    stop
}

async fn stopped_by_signal() {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut terminate) = signal(SignalKind::terminate()) else {
        let _ = tokio::signal::ctrl_c().await;
        return;
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
}

#[cfg(test)]
mod tests {
    use super::{header_name, public_url};

    #[test]
    fn an_address_that_no_client_could_reach_is_refused_at_the_start() {
        for (text, want) in [
            ("", Ok(None)),
            (" ", Ok(None)),
            ("https://go.example.com", Ok(Some("https://go.example.com"))),
            ("https://go.example.com/", Ok(Some("https://go.example.com"))),
            ("http://10.0.0.1:8080/mail//", Ok(Some("http://10.0.0.1:8080/mail"))),
            ("HTTPS://Пример.рф", Ok(Some("https://xn--e1afmkfd.xn--p1ai"))),
            ("go.example.com", Err(())),
            ("go.example.com:443", Err(())),
            ("//go.example.com", Err(())),
            ("ftp://go.example.com", Err(())),
            ("https://", Err(())),
            ("https://go.example.com/?a=1", Err(())),
            ("https://go.example.com/#a", Err(())),
            ("https://user:word@go.example.com", Err(())),
            ("https://go example.com", Err(())),
        ] {
            let got = public_url(text);
            if let Err(said) = &got {
                assert!(said.contains("https://go.example.com"), "what to write: {said}");
            }
            assert_eq!(got.as_ref().map(|url| url.as_deref()).map_err(|_| ()), want, "{text}");
        }
    }

    #[test]
    fn a_header_is_a_name_or_left_out() {
        assert_eq!(header_name("").unwrap(), None);
        assert_eq!(header_name("X-Real-IP").unwrap().unwrap().as_str(), "x-real-ip");
        assert!(header_name("x forwarded").is_err());
    }
}
