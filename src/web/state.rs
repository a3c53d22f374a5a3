//! What the handlers share, and the settings that may change while they run.

use super::{
    EngineState, Hooks, Metrics,
    body::Room,
    clicks::{ClickLog, QUEUE},
    effects::Effects,
    guard::Guard,
    pages,
};
use crate::{
    links::Keys,
    store::{Incoming, Journal, Store, StoreError, Views},
};
use arc_swap::ArcSwap;
use axum::http::HeaderName;
use jiff::Timestamp;
use prometheus_client::registry::Registry;
use ring::{hmac, rand::SystemRandom};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};
use tokio::sync::watch;

/// What the web is built from.
#[derive(Clone)]
pub struct Parts {
    pub store: Store,
    pub clock: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    /// May be replaced at any time: the next request sees it.
    pub settings: Arc<ArcSwap<Settings>>,
    pub hooks: Arc<dyn Hooks>,
    pub engine: watch::Receiver<EngineState>,
    /// Called when something was stored that the engine should not find only at its next look. Cheap, and may be called often.
    pub wake: Arc<dyn Fn() + Send + Sync>,
    pub metrics: Metrics,
    /// Where `metrics` was registered; `/metrics` prints all of it. Others may add to it while the web runs.
    pub registry: Arc<RwLock<Registry>>,
}

/// What may change without a restart.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Who may send signals. Several at once, so that a token can be rotated.
    pub tokens: Vec<SignalToken>,
    /// CRM connections (`namespace/name`) with the country of phone numbers that lack one.
    pub connections: BTreeMap<String, String>,
    /// What is in force is known: until then `keywords` and the rest say nothing.
    pub known: bool,
    /// Country of phone numbers that lack one, where no connection says it.
    pub region: String,
    /// Brand → how people know it.
    pub brands: BTreeMap<String, String>,
    /// `namespace/name` of a channel → the words that texts in force announce for stopping its messages.
    pub keywords: BTreeMap<String, BTreeSet<String>>,
    /// `namespace/name` of the channels that are declared, or that a plan in force names: what their providers report can be read
    /// again some day.
    pub channels: BTreeSet<String>,
    /// Header in which a proxy in front of us puts the client's address, like `x-forwarded-for`. `None`: there is no proxy.
    pub client_ip_header: Option<HeaderName>,
    /// Language of pages for visitors who ask for none that we have: `ru` or `en`.
    pub language: String,
    /// How long a redirect waits for its click to be stored.
    pub redirect_wait: Duration,
}

impl Settings {
    /// For an installation whose clients are at home in `region`.
    #[must_use]
    pub fn in_region(region: String) -> Self {
        let language = pages::language_of(&region).to_owned();
        Self { region, language, ..Self::default() }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            tokens: Vec::new(),
            connections: BTreeMap::new(),
            known: false,
            region: "RU".into(),
            brands: BTreeMap::new(),
            keywords: BTreeMap::new(),
            channels: BTreeSet::new(),
            client_ip_header: None,
            language: "en".into(),
            redirect_wait: Duration::from_millis(500),
        }
    }
}

/// A bearer token, kept as its keyed hash only.
#[derive(Clone)]
pub struct SignalToken {
    key: hmac::Key,
    tag: hmac::Tag,
}

impl SignalToken {
    /// `None`: the token is shorter than 16 characters, which anyone could guess, or the system gives no random bytes.
    #[must_use]
    pub fn new(token: &str) -> Option<Self> {
        if token.len() < 16 {
            return None;
        }
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new()).ok()?;
        let tag = hmac::sign(&key, token.as_bytes());
        Some(Self { key, tag })
    }

    /// Takes the same time whatever is presented.
    #[must_use]
    pub fn matches(&self, presented: &[u8]) -> bool {
        hmac::verify(&self.key, presented, self.tag.as_ref()).is_ok()
    }
}

impl fmt::Debug for SignalToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<token>")
    }
}

/// Shared by all handlers.
pub struct WebState {
    pub(super) journal: Arc<dyn Journal>,
    pub(super) views: Arc<dyn Views>,
    pub(super) keys: Keys,
    pub(super) secret: [u8; 32],
    pub(super) hooks: Arc<dyn Hooks>,
    pub(super) engine: watch::Receiver<EngineState>,
    pub(super) wake: Arc<dyn Fn() + Send + Sync>,
    pub(super) metrics: Metrics,
    pub(super) clicks: ClickLog,
    pub(super) effects: Effects,
    pub(super) guard: Guard,
    pub(super) room: Room,
    clock: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    settings: Arc<ArcSwap<Settings>>,
    registry: Arc<RwLock<Registry>>,
}

impl WebState {
    /// Derives the keys from the installation's secret and starts the task that stores clicks. Needs a tokio runtime.
    #[must_use]
    pub fn start(parts: Parts) -> Arc<Self> {
        let secret = parts.store.journal.secret();
        Arc::new(Self {
            keys: Keys::derive(&secret),
            secret,
            clicks: ClickLog::start(Arc::clone(&parts.store.journal), parts.metrics.clone(), Arc::clone(&parts.wake), QUEUE),
            views: parts.store.views,
            hooks: parts.hooks,
            engine: parts.engine,
            wake: parts.wake,
            metrics: parts.metrics,
            effects: Effects::start(Arc::clone(&parts.store.journal)),
            journal: parts.store.journal,
            guard: Guard::default(),
            room: Room::default(),
            clock: parts.clock,
            settings: parts.settings,
            registry: parts.registry,
        })
    }

    /// Stores what arrived, and wakes the engine for what is new.
    pub(super) async fn store(&self, incoming: Vec<Incoming>) -> Result<Vec<bool>, StoreError> {
        let fresh = self.journal.receive(incoming).await?;
        if fresh.contains(&true) {
            (self.wake)();
        }
        Ok(fresh)
    }

    /// Waits until every click that was answered is stored. False: some are not after `wait`, and end with the process.
    pub async fn flush(&self, wait: Duration) -> bool {
        self.clicks.flush(wait).await
    }

    pub(super) fn now(&self) -> Timestamp {
        (self.clock)()
    }

    pub(super) fn settings(&self) -> Arc<Settings> {
        self.settings.load_full()
    }

    /// All metrics in the text format of `OpenMetrics`.
    pub(super) fn metrics_text(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        let registry = self.registry.read().unwrap_or_else(PoisonError::into_inner);
        prometheus_client::encoding::text::encode(&mut text, &registry)?;
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::SignalToken;

    #[test]
    fn tokens_are_compared_whole_and_never_shown() {
        assert!(SignalToken::new("short").is_none());
        let token = SignalToken::new("0123456789abcdef").unwrap();
        assert!(token.matches(b"0123456789abcdef"));
        for wrong in [&b""[..], b"0123456789abcde", b"0123456789abcdeF", b"0123456789abcdef "] {
            assert!(!token.matches(wrong));
        }
        assert_eq!(format!("{token:?}"), "<token>");
    }
}
