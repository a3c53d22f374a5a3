//! The web over a real listener, with a journal in memory: what a client, a mail program, a scanner and a provider notice.

mod clicks;
mod fake;
mod hooks;
mod limits;
mod signals;
mod unsubscribe;

use super::{EngineState, Limits, Metrics, Parts, Settings, SignalToken, WebState, hooks::Hooks, router, serve};
use crate::{
    links::{ClickToken, Keys, unix_day},
    model::{AddressHash, ClientId, CopyId, EffectKey, EffectRef, EffectStatus, FunnelKey, Medium, Purpose},
    store::{EffectInfo, Store},
};
use arc_swap::ArcSwap;
use fake::{Fake, SECRET};
use jiff::{SignedDuration, Timestamp};
use prometheus_client::registry::Registry;
use reqwest::{Client, Method, RequestBuilder, redirect::Policy};
use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, RwLock},
};
use tokio::{net::TcpListener, sync::watch, task::JoinHandle};

pub const TOKEN: &str = "a-token-of-the-telephony";
pub const PHONE: &str =
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148";

/// A running web and everything around it.
struct Site {
    address: SocketAddr,
    journal: Arc<Fake>,
    state: Arc<WebState>,
    clock: Arc<Mutex<Timestamp>>,
    engine: watch::Sender<EngineState>,
    settings: Arc<ArcSwap<Settings>>,
    client: Client,
    keys: Keys,
    task: JoinHandle<()>,
}

impl Drop for Site {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Site {
    async fn start() -> Self {
        Self::with(Arc::new(super::NoHooks), Limits::default()).await
    }

    async fn with(hooks: Arc<dyn Hooks>, limits: Limits) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let journal = Arc::new(Fake::default());
        let clock = Arc::new(Mutex::new("2026-11-22T10:00:00Z".parse::<Timestamp>().unwrap()));
        let mut registry = Registry::default();
        let metrics = Metrics::register(&mut registry);
        let (engine, engine_state) = watch::channel(EngineState::Leading);
        let ticking = Arc::clone(&clock);
        let settings = Settings {
            tokens: vec![SignalToken::new("an-older-token-still-valid").unwrap(), SignalToken::new(TOKEN).unwrap()],
            connections: [("marketing/sales".to_owned(), "RU".to_owned())].into(),
            brands: [("novydom".to_owned(), "Новый дом".to_owned())].into(),
            redirect_wait: std::time::Duration::from_millis(200),
            known: true,
            ..Settings::default()
        };
        let settings = Arc::new(ArcSwap::from_pointee(settings));
        let state = WebState::start(Parts {
            store: Store { journal: journal.clone(), views: journal.clone() },
            clock: Arc::new(move || *ticking.lock().unwrap()),
            settings: settings.clone(),
            hooks,
            engine: engine_state,
            wake: Arc::new(|| {}),
            metrics: metrics.clone(),
            registry: Arc::new(RwLock::new(registry)),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let task = tokio::spawn(serve(listener, router(Arc::clone(&state)), metrics, limits, std::future::pending()));
        let client = Client::builder().redirect(Policy::none()).no_proxy().build().unwrap();
        Self { address, journal, state, clock, engine, settings, client, keys: Keys::derive(&SECRET), task }
    }

    fn set(&self, edit: impl FnOnce(&mut Settings)) {
        let mut settings = Settings::clone(&self.settings.load());
        edit(&mut settings);
        self.settings.store(Arc::new(settings));
    }

    fn now(&self) -> Timestamp {
        *self.clock.lock().unwrap()
    }

    fn pass(&self, seconds: i64) {
        *self.clock.lock().unwrap() += SignedDuration::from_secs(seconds);
    }

    /// A message that was accepted an hour ago.
    fn message(&self, seq: i32, medium: Medium, links: &[&str]) -> EffectRef {
        let effect = EffectRef { copy: CopyId(42), seq };
        let info = EffectInfo {
            effect,
            key: EffectKey { cycle: 1, list: "lost".into(), item: "a".into(), recipient: AddressHash("r".into()) },
            funnel: FunnelKey { namespace: "marketing".into(), name: "flats".into() },
            client: ClientId(9),
            brand: "novydom".into(),
            medium: Some(medium),
            purpose: Purpose::Advertising,
            status: EffectStatus::Accepted,
            at: self.now() - SignedDuration::from_hours(1),
            links: links.iter().map(|l| (*l).to_owned()).collect(),
            target: "marketing/sms".into(),
            hits: Vec::new(),
        };
        self.journal.effects.lock().unwrap().insert(effect, info);
        effect
    }

    fn click_path(&self, effect: EffectRef, link: i16) -> String {
        format!("/r/{}", self.keys.click_token(ClickToken { effect, link, day: unix_day(self.now()) }))
    }

    fn code_path(&self, effect: EffectRef, link: i16, code: &str) -> String {
        self.journal.codes.lock().unwrap().insert(self.keys.code_hash(code), (effect, link));
        format!("/r/{code}")
    }

    fn unsubscribe_path(&self, effect: EffectRef) -> String {
        format!("/u/{}", self.keys.unsubscribe_token(effect))
    }

    /// As a phone's browser.
    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("http://{}{path}", self.address)).header("user-agent", PHONE)
    }

    fn get(&self, path: &str) -> RequestBuilder {
        self.request(Method::GET, path)
    }

    fn post(&self, path: &str) -> RequestBuilder {
        self.request(Method::POST, path)
    }

    async fn metrics(&self) -> String {
        self.get("/metrics").send().await.unwrap().text().await.unwrap()
    }
}
