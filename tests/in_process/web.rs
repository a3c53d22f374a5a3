//! The web on a real store: what it answers must be found there, and hold, afterwards.

use arc_swap::ArcSwap;
use jiff::{SignedDuration, Timestamp};
use prometheus_client::registry::Registry;
use rekindle::{
    engine::{Copy, CopyState, Effect, EffectKind, Voice},
    links::{ClickToken, HookPath, Keys, hook_url, settle, unix_day},
    model::{
        Address, ClickVerdict, ClientId, Contact, CopyId, Deal, EffectKey, EffectRef, EffectStatus, Email, FunnelKey, InboxEvent,
        Medium, Money, Outcome, Phone, Purpose, Role, SendAs, SignalKind, SuppressionReason, SuppressionScope, Text,
    },
    store::{Batch, Change, Load, Mark, NewEffect, Page, Store},
    web::{
        EngineState, HookAnswer, HookError, HookRequest, Hooks, InboundKind, Limits, Metrics, ParsedInbound, ParsedReceipt, Parts,
        ReceiptOf, Settings, SignalToken, WebState, router, serve,
    },
};
use std::{
    sync::{Arc, Mutex, RwLock},
    time::Duration,
};
use tokio::{net::TcpListener, sync::watch};

const TOKEN: &str = "a-token-of-the-telephony";
const BROWSER: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) Mobile/15E148";

/// Every report is about the one message, every message is STOP.
struct Provider(EffectRef);

impl Hooks for Provider {
    fn receipts(&self, _: &HookRequest) -> Result<(Vec<ParsedReceipt>, HookAnswer), HookError> {
        Ok((vec![ParsedReceipt { of: ReceiptOf::Effect(self.0), outcome: Outcome::Delivered }], HookAnswer::default()))
    }

    fn inbound(&self, request: &HookRequest) -> Result<(Vec<ParsedInbound>, HookAnswer), HookError> {
        let from = request.query.iter().find(|(n, _)| n == "from").ok_or(HookError::Unreadable)?;
        let from = Phone::parse(&from.1, "RU").map_err(|_| HookError::Unreadable)?;
        let message = ParsedInbound { from, text: Text("STOP".into()), id: Some("m-1".into()), kind: InboundKind::Stop };
        Ok((vec![message], HookAnswer::default()))
    }
}

struct Site {
    base: String,
    store: Store,
    clock: Arc<Mutex<Timestamp>>,
    client: reqwest::Client,
    keys: Keys,
    effect: EffectRef,
    task: tokio::task::JoinHandle<()>,
    _folder: tempfile::TempDir,
}

impl Drop for Site {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Site {
    /// One client with a phone, who got one email with two links an hour ago.
    async fn start() -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&format!("sqlite:{}", folder.path().join("store.db").display())).await.unwrap();
        let now: Timestamp = "2026-11-22T10:00:00Z".parse().unwrap();
        let effect = seed(&store, now - SignedDuration::from_hours(1)).await;
        let clock = Arc::new(Mutex::new(now));
        let (base, task) = serve_web(&store, effect, &clock).await;
        let client =
            reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy().user_agent(BROWSER).build().unwrap();
        let keys = Keys::derive(&store.journal.secret());
        Self { base, store, clock, client, keys, effect, task, _folder: folder }
    }

    fn now(&self) -> Timestamp {
        *self.clock.lock().unwrap()
    }

    async fn click(&self, link: i16) -> reqwest::Response {
        let token = self.keys.click_token(ClickToken { effect: self.effect, link, day: unix_day(self.now()) });
        self.client.get(format!("{}/r/{token}", self.base)).send().await.unwrap()
    }

    async fn inbox(&self, at: Timestamp) -> Vec<InboxEvent> {
        self.store.journal.inbox(at, 100).await.unwrap().into_iter().map(|row| row.event.unwrap()).collect()
    }

    async fn suppressions(&self) -> Vec<(SuppressionScope, SuppressionReason)> {
        let subjects = self.store.journal.load(&Load::Copies(vec![self.effect.copy]), self.now()).await.unwrap();
        subjects[0].client.suppressions.iter().map(|s| (s.scope.clone(), s.reason)).collect()
    }
}

async fn serve_web(store: &Store, effect: EffectRef, clock: &Arc<Mutex<Timestamp>>) -> (String, tokio::task::JoinHandle<()>) {
    let mut registry = Registry::default();
    let metrics = Metrics::register(&mut registry);
    let ticking = Arc::clone(clock);
    let settings = Settings {
        tokens: vec![SignalToken::new(TOKEN).unwrap()],
        connections: [("marketing/crm".to_owned(), "RU".to_owned())].into(),
        redirect_wait: Duration::from_secs(10),
        known: true,
        ..Settings::default()
    };
    let (_, engine) = watch::channel(EngineState::Leading);
    let state = WebState::start(Parts {
        store: store.clone(),
        clock: Arc::new(move || *ticking.lock().unwrap()),
        settings: Arc::new(ArcSwap::from_pointee(settings)),
        hooks: Arc::new(Provider(effect)),
        engine,
        wake: Arc::new(|| {}),
        metrics: metrics.clone(),
        registry: Arc::new(RwLock::new(registry)),
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    (base, tokio::spawn(serve(listener, router(state), metrics, Limits::default(), std::future::pending())))
}

async fn seed(store: &Store, at: Timestamp) -> EffectRef {
    let journal = &store.journal;
    let funnel = FunnelKey { namespace: "marketing".into(), name: "flats".into() };
    let email = Email::parse("sara@example.com").unwrap();
    let phone = Phone::parse("+79990001122", "RU").unwrap();
    let address = Address::Email(email.clone());
    let key = EffectKey { cycle: 1, list: "lost".into(), item: "a".into(), recipient: journal.address_hash(&address) };
    let kind = EffectKind::Message {
        channel: "mail".into(),
        medium: Medium::Email,
        purpose: Purpose::Advertising,
        address,
        variant: None,
        send_as: SendAs::Brand,
        consent: None,
        expires_at: at + SignedDuration::from_hours(12),
    };
    let lease = journal.take("test", Duration::from_mins(1)).await.unwrap().unwrap();
    let revision = journal.publish(&funnel, &Voice::default(), &serde_json::json!({}), at).await.unwrap();
    let page = Page {
        connection: "marketing/crm".into(),
        contacts: vec![Contact {
            id: "c".into(),
            name: Text("Sara".into()),
            phones: vec![phone],
            emails: vec![email],
            ..Contact::default()
        }],
        deals: vec![(Deal { id: "d".into(), contacts: vec!["c".into()], ..Deal::default() }, 1)],
        ..Page::default()
    };
    let copy = Copy {
        id: CopyId(0),
        funnel,
        client: ClientId(0),
        shard: 0,
        ver: 0,
        role: Role::Warming,
        stage: "warming".into(),
        cycle: 1,
        amount: Money::default(),
        next_at: None,
        next_seq: 2,
        state: CopyState::default(),
    };
    let message = NewEffect {
        effect: Effect { key, seq: 1, kind },
        status: EffectStatus::Intended,
        brand: "novydom".into(),
        policy: "marketing/default".into(),
        revision,
        body_hash: None,
        links: vec!["https://novydom.example/plans".into(), "https://novydom.example/visit".into()],
        codes: Vec::new(),
        payload: None,
        resend: false,
        charge: None,
        target: "marketing/mail".into(),
        not_before: None,
        expires_at: None,
    };
    let change = Change {
        copy,
        connection: "marketing/crm".into(),
        deal: "d".into(),
        effects: vec![message],
        history: Vec::new(),
        cycle: Vec::new(),
    };
    let batch = Batch { now: Some(at), page: Some(page), changes: vec![change], ..Batch::default() };
    let effect = EffectRef { copy: journal.commit(&lease, batch).await.unwrap().created[0], seq: 1 };
    let outcome = Outcome::Accepted { provider: "relay".into(), provider_id: None };
    journal.mark(vec![Mark { effect, attempt: 0, outcome, at, next: None }]).await.unwrap();
    effect
}

#[tokio::test]
async fn a_click_is_in_the_store_before_it_is_answered() {
    let site = Site::start().await;
    let at = site.now();
    let response = site.click(1).await;
    assert_eq!(response.status(), 302);
    assert_eq!(response.headers()["location"], "https://novydom.example/visit");
    let info = site.store.journal.effect(site.effect).await.unwrap().unwrap();
    assert_eq!(info.hits, [(1, at)]);
    // Its verdict is open for ten seconds: the engine does not see it earlier.
    assert!(site.inbox(at + SignedDuration::from_secs(9)).await.is_empty());
    let event = InboxEvent::Click { effect: site.effect, link: 1, at, verdict: None };
    assert_eq!(site.inbox(at + SignedDuration::from_secs(10)).await, [event]);
    let sent = rekindle::links::Sent { accepted_at: info.at };
    assert_eq!(settle(1, at, sent, &info.hits), (ClickVerdict::Human, "alone"));
}

#[tokio::test]
async fn a_scanner_is_found_out_by_what_the_store_knows() {
    let site = Site::start().await;
    let at = site.now();
    site.click(0).await;
    *site.clock.lock().unwrap() += SignedDuration::from_secs(2);
    site.click(1).await;
    let info = site.store.journal.effect(site.effect).await.unwrap().unwrap();
    assert_eq!(info.hits.len(), 2);
    assert_eq!(settle(0, at, rekindle::links::Sent { accepted_at: info.at }, &info.hits), (ClickVerdict::Machine, "burst"));
}

#[tokio::test]
async fn unsubscribing_holds_from_the_answer_on() {
    let site = Site::start().await;
    let url = format!("{}/u/{}", site.base, site.keys.unsubscribe_token(site.effect));
    assert_eq!(site.client.get(&url).send().await.unwrap().status(), 200);
    assert!(site.suppressions().await.is_empty(), "looking changes nothing");
    for _ in 0..2 {
        let response = site.client.post(&url).form(&[("List-Unsubscribe", "One-Click")]).send().await.unwrap();
        assert_eq!(response.status(), 200);
    }
    let suppressions = site.suppressions().await;
    let of = |scope: fn(&SuppressionScope) -> bool| {
        suppressions.iter().filter(|(s, reason)| scope(s) && *reason == SuppressionReason::Unsubscribed).count()
    };
    let counts = (of(|s| matches!(s, SuppressionScope::Client(_))), of(|s| matches!(s, SuppressionScope::Address(_))));
    assert_eq!((counts, suppressions.len()), ((1, 1), 2), "{suppressions:?}");
    assert_eq!(site.inbox(site.now()).await.len(), 1);
}

#[tokio::test]
async fn the_mail_of_a_deals_former_contact_unsubscribes_nobody_else() {
    let site = Site::start().await;
    let journal = &site.store.journal;
    let lease = journal.take("test", Duration::from_mins(1)).await.unwrap().unwrap();
    let boris = Contact {
        id: "b".into(),
        name: Text("Boris".into()),
        emails: vec![Email::parse("boris@example.com").unwrap()],
        ..Contact::default()
    };
    let page = Page {
        connection: "marketing/crm".into(),
        contacts: vec![boris],
        deals: vec![(Deal { id: "d".into(), contacts: vec!["b".into()], ..Deal::default() }, 2)],
        ..Page::default()
    };
    journal.commit(&lease, Batch { now: Some(site.now()), page: Some(page), ..Batch::default() }).await.unwrap();
    let url = format!("{}/u/{}", site.base, site.keys.unsubscribe_token(site.effect));
    let response = site.client.post(&url).form(&[("List-Unsubscribe", "One-Click")]).send().await.unwrap();
    assert_eq!(response.status(), 200);
    assert!(site.suppressions().await.is_empty(), "the deal is somebody else's now");
    assert_eq!(journal.suppressed(&[site.effect]).await.unwrap(), [site.effect], "who was written to gets nothing more");
}

#[tokio::test]
async fn receipts_and_stop_reach_the_inbox_once() {
    let site = Site::start().await;
    let hook = |path| hook_url(&site.base, &site.store.journal.secret(), "marketing/mail", "main", path);
    for url in [hook(HookPath::Receipt), format!("{}&from=%2B79990001122", hook(HookPath::Inbound))] {
        for _ in 0..2 {
            assert_eq!(site.client.get(&url).send().await.unwrap().status(), 200);
        }
    }
    let events = site.inbox(site.now()).await;
    assert!(matches!(&events[0], InboxEvent::Receipt { effect, outcome: Outcome::Delivered, .. } if *effect == site.effect));
    assert!(matches!(&events[1], InboxEvent::Unsubscribe { .. }));
    assert_eq!(events.len(), 2);
    let suppressions = site.suppressions().await;
    assert!(matches!(suppressions.as_slice(), [(SuppressionScope::Address(_), SuppressionReason::Stop)]), "{suppressions:?}");
}

#[tokio::test]
async fn a_signal_is_known_again_by_another_replica() {
    let site = Site::start().await;
    let (other, task) = serve_web(&site.store, site.effect, &site.clock).await;
    let event = serde_json::json!({"specversion": "1.0", "id": "1", "source": "/pbx", "type": "dev.rekindle.signal.inboundcall",
        "data": {"phone": "8 999 000-11-22"}});
    for (base, result) in [(&site.base, "accepted"), (&other, "duplicate")] {
        let request = site.client.post(format!("{base}/v1/signals")).bearer_auth(TOKEN);
        let response = request.header("content-type", "application/cloudevents+json").body(event.to_string()).send().await.unwrap();
        assert_eq!(response.status(), 202);
        let body: serde_json::Value = response.json().await.unwrap();
        assert_eq!(body["events"][0]["result"], result);
    }
    task.abort();
    let events = site.inbox(site.now()).await;
    assert!(matches!(events.as_slice(), [InboxEvent::Signal { kind: SignalKind::InboundCall, .. }]), "{events:?}");
    let InboxEvent::Signal { subject, .. } = &events[0] else { return };
    let found = site.store.journal.load(&Load::Signal(subject.clone()), site.now()).await.unwrap();
    assert_eq!(found[0].copy.id, site.effect.copy, "by the phone of the deal's contact");
}
