//! The pages of one process: public ones for clients, others for the platform.

use crate::{
    compile::Wiring,
    store::Store,
    web::{self, ChannelHooks, EngineState, Limits, Metrics, Parts, Settings, SignalToken, WebState},
    workers::{Engine, Phase, Plans, channel_key},
};
use arc_swap::{ArcSwap, ArcSwapOption};
use axum::http::HeaderName;
use prometheus_client::registry::Registry;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, RwLock},
    time::Duration,
};
use tokio::{net::TcpListener, sync::watch, task::JoinHandle};

/// Pages that are up.
pub struct Served {
    /// `http://…` of the public pages.
    pub public: String,
    /// `http://…` of health and metrics.
    pub admin: String,
    /// What may change while it runs.
    pub settings: Arc<ArcSwap<Settings>>,
    state: Arc<WebState>,
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
}

/// What the pages are made of, beside store and engine.
pub struct Pages {
    pub public: TcpListener,
    /// `None`: health and metrics stand beside the public pages, for a laptop.
    pub admin: Option<TcpListener>,
    pub signal_tokens: Vec<String>,
    pub region: String,
    /// Header with the client's address, if a proxy is in front.
    pub client_ip_header: Option<HeaderName>,
}

/// Starts serving.
///
/// # Errors
/// A sentence.
pub fn start(store: &Store, engine: &Arc<Engine>, mut registry: Registry, pages: Pages) -> Result<Served, String> {
    let metrics = Metrics::register(&mut registry);
    let tokens = signal_tokens(&pages.signal_tokens)?;
    let clock = engine.clock().clone();
    let client_ip_header = pages.client_ip_header;
    let settings = Settings { tokens, client_ip_header, ..Settings::in_region(pages.region) };
    let settings = Arc::new(ArcSwap::from_pointee(settings));
    let wiring = Arc::new(ArcSwapOption::empty());
    let state = WebState::start(Parts {
        store: store.clone(),
        clock: Arc::new(move || clock.now()),
        hooks: Arc::new(ChannelHooks::new(wiring.clone(), settings.clone())),
        settings: settings.clone(),
        engine: engine_state(engine),
        wake: Arc::new({
            let engine = engine.clone();
            move || engine.wake()
        }),
        metrics: metrics.clone(),
        registry: Arc::new(RwLock::new(registry)),
    });
    let address = |listener: &TcpListener| listener.local_addr().map(|a| format!("http://{a}")).map_err(|e| e.to_string());
    let public_url = address(&pages.public)?;
    let mut admin_url = public_url.clone();
    let (stop, stopping) = watch::channel(false);
    let mut tasks = vec![tokio::spawn(follow(engine.clone(), settings.clone(), wiring))];
    let mut serve = |listener, router| {
        let mut stopping = stopping.clone();
        let stop = async move {
            let _ = stopping.wait_for(|stop| *stop).await;
        };
        tasks.push(tokio::spawn(web::serve(listener, router, metrics.clone(), Limits::default(), stop)));
    };
    if let Some(admin) = pages.admin {
        admin_url = address(&admin)?;
        serve(admin, web::admin_router(state.clone()));
        serve(pages.public, web::public_router(state.clone()));
    } else {
        serve(pages.public, web::router(state.clone()));
    }
    Ok(Served { public: public_url, admin: admin_url, settings, state, stop, tasks })
}

/// Tokens as a file has them: separated by commas or lines.
pub fn split(tokens: &str) -> Vec<String> {
    tokens.split([',', '\n']).map(str::trim).filter(|token| !token.is_empty()).map(str::to_owned).collect()
}

fn signal_tokens(tokens: &[String]) -> Result<Vec<SignalToken>, String> {
    let tokens: Option<Vec<SignalToken>> = tokens.iter().map(|token| SignalToken::new(token)).collect();
    tokens.ok_or_else(|| "a signal token is shorter than 16 characters; write a longer one".into())
}

/// From now on these may report signals, and no others.
///
/// # Errors
/// A sentence; who might before still may.
pub fn set_tokens(settings: &ArcSwap<Settings>, tokens: &str) -> Result<(), String> {
    let tokens = signal_tokens(&split(tokens))?;
    settings.rcu(|settings| Settings { tokens: tokens.clone(), ..Settings::clone(settings) });
    Ok(())
}

impl Served {
    /// Finishes open requests and stores what is still in memory.
    pub async fn stop(self) {
        let _ = self.stop.send(true);
        let mut tasks = self.tasks.into_iter();
        if let Some(follower) = tasks.next() {
            follower.abort();
        }
        for task in tasks {
            let _ = task.await;
        }
        if !self.state.flush(Duration::from_secs(5)).await {
            tracing::warn!("some clicks could not be stored before the end");
        }
    }
}

/// Keeps what the pages know of connections, channels and brands in step with what is in force.
async fn follow(engine: Arc<Engine>, settings: Arc<ArcSwap<Settings>>, wiring: Arc<ArcSwapOption<Wiring>>) {
    let mut publications = engine.publications();
    loop {
        // Before anything is read: what comes meanwhile is seen in the next round.
        let known = *publications.borrow_and_update() > 0;
        // Plans come from the store as well, addresses from resources alone.
        let wired = known && engine.is_wired();
        let (adapters, plans) = (engine.adapters(), engine.plans());
        // Its tokens may be replaced at the same moment.
        settings.rcu(|now| {
            let mut next = Settings::clone(now);
            next.connections = adapters.connections.iter().map(|(key, c)| (key.clone(), c.wiring.region.clone())).collect();
            next.brands =
                plans.0.values().map(|live| (live.plan.policy.brand.clone(), live.plan.policy.brand_title.clone())).collect();
            next.keywords = keywords(&plans);
            next.channels = adapters.wiring().declared.iter().cloned().chain(channels(&plans)).collect();
            next.known = known;
            next
        });
        wiring.store(wired.then(|| Arc::new(adapters.wiring().clone())));
        if publications.changed().await.is_err() {
            return;
        }
    }
}

/// What texts in force announce, by channel: a funnel that goes on by an older revision announces the channel's former word.
fn keywords(plans: &Plans) -> BTreeMap<String, BTreeSet<String>> {
    let mut words: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for plan in plans.0.values().map(|live| &live.plan) {
        for channel in &plan.channels {
            if let Some(word) = &channel.keyword {
                words.entry(channel_key(plan, &channel.resource)).or_default().insert(word.clone());
            }
        }
    }
    words
}

/// The channels that messages in force leave through, whatever is declared today.
fn channels(plans: &Plans) -> impl Iterator<Item = String> {
    let plans = plans.0.values().map(|live| &live.plan);
    plans.flat_map(|plan| plan.channels.iter().map(move |channel| channel_key(plan, &channel.resource)))
}

fn engine_state(engine: &Arc<Engine>) -> watch::Receiver<EngineState> {
    let mut phase = engine.phase();
    let (sender, receiver) = watch::channel(EngineState::Starting);
    tokio::spawn(async move {
        loop {
            let state = match &*phase.borrow_and_update() {
                Phase::Starting => EngineState::Starting,
                Phase::Standby => EngineState::Standby,
                Phase::Working => EngineState::Leading,
                Phase::StoreDown(why) => EngineState::Failed(why.clone()),
                Phase::ClockWrong(why) => EngineState::Idle(why.clone()),
                Phase::Stopped => EngineState::Stopping,
            };
            if sender.send(state).is_err() || phase.changed().await.is_err() {
                return;
            }
        }
    });
    receiver
}

#[cfg(test)]
mod tests {
    use super::channels;
    use crate::{
        cli::folder::Reader,
        compile::{compile, compile_funnel},
        workers::{Live, Plans},
    };
    use jiff::Timestamp;

    #[test]
    fn a_channel_that_a_funnel_in_force_names_is_not_gone_though_nobody_declares_it_any_more() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("all.yaml"), include_str!("../compile/testdata/example.yaml")).unwrap();
        let output = compile(Reader::new(folder.path()).read().unwrap().snapshot());
        let live = |snapshot| Live::from(compile_funnel(snapshot, 1, Timestamp::UNIX_EPOCH).unwrap());
        let plans = Plans(output.funnels.iter().map(|(key, snapshot)| (key.clone(), live(snapshot))).collect(), [].into());
        let mut named: Vec<String> = channels(&plans).collect();
        named.sort();
        assert_eq!(named, ["marketing/mail", "marketing/sms"]);
    }
}
