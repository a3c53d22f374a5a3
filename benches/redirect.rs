//! Redirects a second with each click stored, beside a bare axum 302 in the same run.
//!
//! `cargo bench --bench redirect -- [--store sqlite:PATH | postgres://…] [--messages N] [--connections C] [--seconds S]`
//!
//! Three lines: the bare 302; messages met for the first time (each click looks its message up); messages met before.
//! At the end the stored clicks are counted: a redirect without its click would make the figure worthless.

use arc_swap::ArcSwap;
use axum::{Router, http::header, response::IntoResponse, routing::get};
use jiff::{SignedDuration, Timestamp};
use prometheus_client::registry::Registry;
use rekindle::{
    engine::{Copy, CopyState, Effect, EffectKind, Voice},
    links::{ClickToken, Keys, unix_day},
    model::{
        Address, AddressHash, ClientId, Contact, CopyId, Deal, EffectKey, EffectRef, EffectStatus, Email, FunnelKey, Medium, Money,
        Outcome, Purpose, Role, SendAs, Text,
    },
    store::{Batch, Change, Lease, Mark, NewEffect, Page, Store},
    web::{EngineState, Limits, Metrics, NoHooks, Parts, Settings, WebState, public_router, serve},
};
use std::{
    error::Error,
    net::SocketAddr,
    sync::{
        Arc, RwLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
};

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

const TARGET: &str = "https://novydom.example/plans?rooms=2&utm_source=rekindle";

struct Options {
    store: Option<String>,
    messages: usize,
    connections: usize,
    seconds: u64,
}

fn options() -> Result<Options> {
    let mut options = Options { store: None, messages: 100_000, connections: 256, seconds: 5 };
    let mut words = std::env::args().skip(1).filter(|w| w != "--bench");
    while let Some(word) = words.next() {
        let value = words.next().ok_or("every option has a value")?;
        match word.as_str() {
            "--store" => options.store = Some(value),
            "--messages" => options.messages = value.parse()?,
            "--connections" => options.connections = value.parse()?,
            "--seconds" => options.seconds = value.parse()?,
            other => return Err(format!("unknown option {other}").into()),
        }
    }
    Ok(options)
}

#[tokio::main]
async fn main() -> Result<()> {
    let options = options()?;
    let folder = std::env::temp_dir().join(format!("rekindle-redirect-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let url = options.store.clone().unwrap_or_else(|| format!("sqlite:{}", folder.join("store.db").display()));
    let result = run(&options, &url).await;
    std::fs::remove_dir_all(&folder)?;
    result
}

async fn run(options: &Options, url: &str) -> Result<()> {
    let store = Store::open(url).await?;
    let now = Timestamp::now();
    let effects = seed(&store, options.messages, now).await?;
    let keys = Keys::derive(&store.journal.secret());
    let paths: Arc<Vec<String>> = Arc::new(
        effects
            .iter()
            .map(|effect| format!("/r/{}", keys.click_token(ClickToken { effect: *effect, link: 0, day: unix_day(now) })))
            .collect(),
    );

    let bare = start_bare().await?;
    let (site, web, metrics) = start_web(&store).await?;

    let run = Duration::from_secs(options.seconds);
    let fixed = Arc::new(vec!["/r".to_owned()]);
    let plain = drive(bare, &fixed, options.connections, run, usize::MAX).await?;
    println!("bare axum 302             {:>8.0}/s", plain.rate());
    // Each message once: every click looks its message up.
    let cold = drive(site, &paths, options.connections, run, paths.len()).await?;
    println!("first click of a message  {:>8.0}/s  {:>3.0} % of bare", cold.rate(), 100.0 * cold.rate() / plain.rate());
    // A few thousand messages again and again: all remembered.
    let known = Arc::new(paths.iter().take(4_000).cloned().collect::<Vec<_>>());
    let warm = drive(site, &known, options.connections, run, usize::MAX).await?;
    println!("known message             {:>8.0}/s  {:>3.0} % of bare", warm.rate(), 100.0 * warm.rate() / plain.rate());

    let flushed = web.flush(Duration::from_secs(30)).await;
    let answered = cold.answers + warm.answers;
    let mut hits = 0;
    for effect in &effects {
        hits += store.journal.effect(*effect).await?.map_or(0, |info| info.hits.len());
    }
    println!("answered {answered}, stored {hits}, flushed {flushed}");
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &*metrics.read().map_err(|e| e.to_string())?)?;
    for line in text.lines().filter(|l| l.starts_with("rekindle_click") && !l.contains("_bucket")) {
        println!("{line}");
    }
    if hits < answered {
        return Err("redirects were answered whose clicks are not stored".into());
    }
    Ok(())
}

async fn start_bare() -> Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let router =
        Router::new().route("/r", get(async || (axum::http::StatusCode::FOUND, [(header::LOCATION, TARGET)]).into_response()));
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok(address)
}

async fn start_web(store: &Store) -> Result<(SocketAddr, Arc<WebState>, Arc<RwLock<Registry>>)> {
    let mut registry = Registry::default();
    let metrics = Metrics::register(&mut registry);
    let registry = Arc::new(RwLock::new(registry));
    let (_, engine) = watch::channel(EngineState::Standby);
    let state = WebState::start(Parts {
        store: store.clone(),
        clock: Arc::new(Timestamp::now),
        // So long that no redirect is answered before its click is stored.
        settings: Arc::new(ArcSwap::from_pointee(Settings { redirect_wait: Duration::from_secs(10), ..Settings::default() })),
        hooks: Arc::new(NoHooks),
        engine,
        wake: Arc::new(|| {}),
        metrics: metrics.clone(),
        registry: Arc::clone(&registry),
    });
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let router = public_router(Arc::clone(&state));
    tokio::spawn(serve(listener, router, metrics, Limits::default(), std::future::pending()));
    Ok((address, state, registry))
}

struct Driven {
    answers: usize,
    took: Duration,
}

impl Driven {
    #[allow(clippy::cast_precision_loss)] // a rate to print
    fn rate(&self) -> f64 {
        self.answers as f64 / self.took.as_secs_f64()
    }
}

/// Asks over `connections` kept-alive connections, one request at a time each, until the time or the requests are used up.
async fn drive(address: SocketAddr, paths: &Arc<Vec<String>>, connections: usize, run: Duration, most: usize) -> Result<Driven> {
    let next = Arc::new(AtomicUsize::new(0));
    let began = Instant::now();
    let clients: Vec<_> = (0..connections)
        .map(|_| {
            let (paths, next) = (Arc::clone(paths), Arc::clone(&next));
            tokio::spawn(async move {
                let mut stream = TcpStream::connect(address).await?;
                stream.set_nodelay(true)?;
                let (mut request, mut answer, mut answers) = (String::new(), vec![0; 2_048], 0_usize);
                while began.elapsed() < run {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= most {
                        break;
                    }
                    let path = paths.get(number % paths.len()).ok_or("no paths")?;
                    request.clear();
                    request.push_str("GET ");
                    request.push_str(path);
                    request.push_str(" HTTP/1.1\r\nHost: go.example.com\r\nUser-Agent: Mozilla/5.0 (iPhone) Mobile\r\n\r\n");
                    stream.write_all(request.as_bytes()).await?;
                    let mut read = 0;
                    while !answer.get(..read).is_some_and(|a| a.ends_with(b"\r\n\r\n")) {
                        let space = answer.get_mut(read..).ok_or("the answer is too long")?;
                        match stream.read(space).await? {
                            0 => return Err("the connection was closed".into()),
                            n => read += n,
                        }
                    }
                    if !answer.starts_with(b"HTTP/1.1 302") {
                        return Err(String::from_utf8_lossy(answer.get(..read).unwrap_or_default()).into_owned().into());
                    }
                    answers += 1;
                }
                Ok::<usize, Box<dyn Error + Send + Sync>>(answers)
            })
        })
        .collect();
    let mut answers = 0;
    for client in clients {
        answers += client.await??;
    }
    Ok(Driven { answers, took: began.elapsed() })
}

/// As many accepted emails with one link each, written as the engine writes them.
async fn seed(store: &Store, messages: usize, now: Timestamp) -> Result<Vec<EffectRef>> {
    let journal = &store.journal;
    let funnel = FunnelKey { namespace: "bench".into(), name: "redirect".into() };
    let lease = journal.take("bench", Duration::from_mins(1)).await?.ok_or("another engine has the store")?;
    let revision = journal.publish(&funnel, &Voice::default(), &serde_json::json!({}), now).await?;
    let mut effects = Vec::with_capacity(messages);
    for first in (0..messages).step_by(1_000) {
        let rows: Vec<usize> = (first..messages.min(first + 1_000)).collect();
        effects.extend(seed_page(store, &lease, &funnel, revision, &rows, now).await?);
        if !journal.renew(&lease, Duration::from_mins(1)).await? {
            return Err("the lease was lost".into());
        }
    }
    journal.release(&lease).await?;
    Ok(effects)
}

async fn seed_page(
    store: &Store,
    lease: &Lease,
    funnel: &FunnelKey,
    revision: i64,
    rows: &[usize],
    now: Timestamp,
) -> Result<Vec<EffectRef>> {
    let earlier = now - SignedDuration::from_hours(1);
    let mut page = Page { connection: "bench/crm".into(), ..Page::default() };
    let mut changes = Vec::with_capacity(rows.len());
    for row in rows {
        let email = Email::parse(&format!("client{row}@example.com"))?;
        let address = Address::Email(email.clone());
        let hash: AddressHash = store.journal.address_hash(&address);
        page.contacts.push(Contact { id: format!("c{row}"), name: Text("Sara".into()), emails: vec![email], ..Contact::default() });
        page.deals.push((Deal { id: format!("d{row}"), contacts: vec![format!("c{row}")], ..Deal::default() }, 1));
        changes.push(change(funnel, revision, format!("d{row}"), address, hash, earlier));
    }
    let commit = store.journal.commit(lease, Batch { now: Some(earlier), page: Some(page), changes, ..Batch::default() }).await?;
    let effects: Vec<EffectRef> = commit.created.iter().map(|copy| EffectRef { copy: *copy, seq: 1 }).collect();
    let accepted = Outcome::Accepted { provider: "bench".into(), provider_id: None };
    let marks = effects
        .iter()
        .map(|effect| Mark { effect: *effect, attempt: 0, outcome: accepted.clone(), at: earlier, next: None })
        .collect();
    store.journal.mark(marks).await?;
    Ok(effects)
}

fn change(funnel: &FunnelKey, revision: i64, deal: String, address: Address, recipient: AddressHash, at: Timestamp) -> Change {
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
    let key = EffectKey { cycle: 1, list: "list".into(), item: "item".into(), recipient };
    Change {
        copy: Copy {
            id: CopyId(0),
            funnel: funnel.clone(),
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
        },
        connection: "bench/crm".into(),
        deal,
        effects: vec![NewEffect {
            effect: Effect { key, seq: 1, kind },
            status: EffectStatus::Intended,
            brand: "brand".into(),
            policy: String::new(),
            revision,
            body_hash: None,
            links: vec![TARGET.into()],
            codes: Vec::new(),
            payload: None,
            resend: false,
            charge: None,
            target: "bench/mail".into(),
            not_before: None,
            expires_at: None,
        }],
        history: Vec::new(),
        cycle: Vec::new(),
    }
}
