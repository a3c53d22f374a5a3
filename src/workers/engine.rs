//! The engine of one process: what its passes share, the lease they run under, and the loop that repeats them.

use super::{
    Adapters, Clock, EngineMetrics, Outside, Plans, RealOutside, clock::Moment, flights::Flights, on_hold::OnHold, witness::Block,
};
use crate::{
    links::Keys,
    model::FunnelKey,
    store::{Journal, Lease, StoreError, Witness, WitnessError},
};
use arc_swap::{ArcSwap, ArcSwapOption};
use jiff::Timestamp;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::{Notify, watch},
    time::Instant,
};

/// Why a pass stopped. The next one tries again.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Witness(#[from] WitnessError),
    /// This process does not hold the engine lease.
    #[error("another engine works; this one stands by")]
    Standby,
    /// What is sent by such a clock may leave at night.
    #[error("{0}")]
    Clock(String),
}

impl WorkerError {
    /// Stable name for metrics and events.
    #[must_use]
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Store(error) => error.label(),
            Self::Witness(_) => "witness",
            Self::Standby => "standby",
            Self::Clock(_) => "clock",
        }
    }
}

/// So many batches of the inbox are heard before anything is sent, once a funnel is repaired.
const MOST_ROUNDS: usize = 200;

/// What a process decides about its engine at start.
#[derive(Clone, Debug)]
pub struct EngineSettings {
    /// Address under which clients reach us (`https://go.example.com`); without one, links are not tracked and emails carry no
    /// unsubscribe link, so advertising emails are refused by validation.
    pub base_url: Option<String>,
    /// Unique for each process start.
    pub owner: String,
    /// How long the engine lease lasts without renewal.
    pub lease: Duration,
    /// Copies looked at in one go.
    pub batch: u32,
    /// Outside the database: without one, a database restored from an earlier copy sends again what it forgot.
    pub witness: Option<Arc<dyn Witness>>,
}

impl Default for EngineSettings {
    fn default() -> Self {
        Self { base_url: None, owner: uuid::Uuid::now_v7().to_string(), lease: Duration::from_secs(8), batch: 256, witness: None }
    }
}

/// What the engine is doing, for /readyz and `status`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Phase {
    Starting,
    /// Another process holds the lease.
    Standby,
    Working,
    /// The store cannot be used; said in words.
    StoreDown(String),
    /// Our clock and the database's are too far apart to send by; said in words.
    ClockWrong(String),
    Stopped,
}

/// How often a standby that could send looks whether the lease is free.
const SOON: Duration = Duration::from_millis(500);
/// For how long one that could not leaves it to those.
const LET_GO: Duration = Duration::from_secs(2);

/// Proof of the lease with the moment until which it may be used. The moment is counted from before the renewal was sent.
#[derive(Clone, Debug)]
pub(super) struct Held {
    pub lease: Lease,
    pub deadline: Instant,
    /// When the renewal was sent. The deadline's clock stands still while the machine sleeps, the lease goes on.
    pub since: Moment,
}

/// One engine. Cheap to share.
pub struct Engine {
    pub(super) journal: Arc<dyn Journal>,
    pub(super) clock: Clock,
    pub(super) started: Timestamp,
    pub(super) plans: ArcSwap<Plans>,
    pub(super) adapters: ArcSwap<Adapters>,
    pub(super) keys: Keys,
    pub(super) settings: EngineSettings,
    pub(super) metrics: EngineMetrics,
    pub(super) flights: Arc<Flights>,
    /// Namespace of message keys: one for each installation.
    pub(super) namespace: uuid::Uuid,
    pub(super) held: ArcSwapOption<Held>,
    /// Whether this process has seen the resources themselves. Without their addresses and secrets nothing can leave it.
    pub(super) wired: AtomicBool,
    phase: watch::Sender<Phase>,
    /// Something arrived: look now instead of at the next beat.
    wake: Notify,
    publications: watch::Sender<u64>,
    /// No copy was due below it at the last look; `None` makes the next look a full sweep.
    pub(super) low: Mutex<Low>,
    pub(super) next_sync: Mutex<BTreeMap<String, Timestamp>>,
    pub(super) next_backfill: Mutex<Option<Timestamp>>,
    /// Hand-over numbers that were set aside at the witness.
    pub(super) block: Mutex<Block>,
    pub(super) on_hold: Mutex<OnHold>,
    /// Since when there has been no such connection as write-backs wait for.
    pub(super) gone: Mutex<BTreeMap<String, Timestamp>>,
    /// The broken funnels that the inbox was last read by, and until when what waits for one that is not any more is looked for.
    pub(super) broken: Mutex<(Option<BTreeSet<FunnelKey>>, Option<Timestamp>)>,
    /// Rows of the inbox that were handed out again, and of which the store does not know yet that this process lives.
    pub(super) in_hand: Mutex<Vec<i64>>,
    /// The revision that has reached all copies of a funnel.
    replanned: Mutex<BTreeMap<FunnelKey, i64>>,
    /// Our clock and the database's are apart, and that was said.
    pub(super) drifted: Mutex<bool>,
    /// When the store was last asked whether somebody else has published.
    pub(super) caught_up: Mutex<Option<Instant>>,
}

/// The low watermark of the due index, kept in memory: in a database row its own versions would pile up (storage.md §2.5).
#[derive(Debug, Default)]
pub(super) struct Low {
    pub at: Option<Timestamp>,
    pub swept_at: Option<Timestamp>,
    /// How many copies the next look takes: fewer while channels are full.
    pub look: u32,
}

/// What the passes of one step came to.
#[derive(Default)]
struct Round {
    done: usize,
    failed: Option<WorkerError>,
}

impl Round {
    /// Without the lease there is no sense in going on; any other failure is that pass's own.
    fn take(&mut self, pass: Result<usize, WorkerError>) -> Result<(), WorkerError> {
        match pass {
            Ok(done) => self.done += done,
            Err(error @ (WorkerError::Standby | WorkerError::Store(StoreError::LeaseLost | StoreError::AmbiguousCommit))) => {
                return Err(error);
            }
            Err(error) => self.failed = self.failed.take().or(Some(error)),
        }
        Ok(())
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Engine {
    /// Must be called inside a tokio runtime: it starts the task that writes outcomes down.
    #[must_use]
    pub fn new(journal: Arc<dyn Journal>, clock: Clock, settings: EngineSettings, metrics: EngineMetrics) -> Arc<Self> {
        Self::with_outside(journal, clock, settings, metrics, Arc::new(RealOutside))
    }

    /// As [`Engine::new`], in a world of its own.
    #[must_use]
    pub fn with_outside(
        journal: Arc<dyn Journal>,
        clock: Clock,
        settings: EngineSettings,
        metrics: EngineMetrics,
        outside: Arc<dyn Outside>,
    ) -> Arc<Self> {
        let secret = journal.secret();
        let keys = Keys::derive(&secret);
        let namespace = uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_URL, &[b"rekindle/", &secret[..]].concat());
        let (flights, reports) = Flights::new();
        let engine = Arc::new(Self {
            journal,
            started: clock.now(),
            clock,
            plans: ArcSwap::default(),
            adapters: ArcSwap::from_pointee(Adapters::of(outside)),
            keys,
            settings,
            metrics,
            flights: Arc::new(flights),
            namespace,
            held: ArcSwapOption::empty(),
            wired: AtomicBool::new(false),
            phase: watch::Sender::new(Phase::Starting),
            wake: Notify::new(),
            publications: watch::Sender::new(0),
            low: Mutex::default(),
            next_sync: Mutex::default(),
            next_backfill: Mutex::default(),
            block: Mutex::default(),
            on_hold: Mutex::default(),
            gone: Mutex::default(),
            broken: Mutex::default(),
            in_hand: Mutex::default(),
            replanned: Mutex::default(),
            drifted: Mutex::default(),
            caught_up: Mutex::default(),
        });
        tokio::spawn(engine.clone().write_outcomes(reports));
        engine
    }

    #[must_use]
    pub fn plans(&self) -> Arc<Plans> {
        self.plans.load_full()
    }

    #[must_use]
    pub fn adapters(&self) -> Arc<Adapters> {
        self.adapters.load_full()
    }

    #[must_use]
    pub const fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Whether it was told where to read and where to send: that stands in resources, never in the store.
    #[must_use]
    pub fn is_wired(&self) -> bool {
        self.wired.load(Ordering::SeqCst)
    }

    #[must_use]
    pub fn phase(&self) -> watch::Receiver<Phase> {
        self.phase.subscribe()
    }

    pub(super) fn replanned(&self, funnel: &FunnelKey, revision: i64) -> bool {
        lock(&self.replanned).get(funnel) == Some(&revision)
    }

    pub(super) fn set_replanned(&self, funnel: &FunnelKey, revision: i64) {
        lock(&self.replanned).insert(funnel.clone(), revision);
    }

    /// Something arrived that should not wait for the next beat.
    pub fn wake(&self) {
        self.wake.notify_one();
    }

    /// Changes with each publication; 0 until the first.
    #[must_use]
    pub fn publications(&self) -> watch::Receiver<u64> {
        self.publications.subscribe()
    }

    /// How often something was put in force by this process.
    pub(super) fn publications_count(&self) -> watch::Ref<'_, u64> {
        self.publications.borrow()
    }

    pub(super) fn set_published(&self) {
        // A new funnel wants to meet the deals of its connection now, not at the next interval.
        lock(&self.next_sync).clear();
        self.publications.send_modify(|n| *n += 1);
    }

    pub(super) fn set_phase(&self, phase: Phase) {
        self.phase.send_if_modified(|now| {
            let changed = *now != phase;
            if changed {
                tracing::info!(?phase, "engine");
                *now = phase;
            }
            changed
        });
    }

    /// The lease, while it may be used.
    pub(super) fn held(&self) -> Result<Arc<Held>, WorkerError> {
        let in_time = |held: &Arc<Held>| Instant::now() + self.clock.slept_since(&held.since) < held.deadline;
        self.held.load_full().filter(in_time).ok_or(WorkerError::Standby)
    }

    /// Takes the lease or renews it. False: another engine has it.
    ///
    /// # Errors
    /// When the store cannot be asked; the deadline of a lease that is held then simply runs out.
    pub async fn hold_lease(&self) -> Result<bool, WorkerError> {
        // A tenth is kept back, so that our clock gives up before the database's does.
        let from_now = || (Instant::now() + self.settings.lease.mul_f64(0.9), self.clock.moment());
        if let Some(held) = self.held.load_full() {
            let (deadline, since) = from_now();
            if self.journal.renew(&held.lease, self.settings.lease).await? {
                let renewed = Some(Arc::new(Held { lease: held.lease.clone(), deadline, since }));
                let found = self.held.compare_and_swap(&Some(held.clone()), renewed);
                if found.as_ref().is_some_and(|found| Arc::ptr_eq(found, &held)) {
                    // Who cannot be asked now was heard a moment ago, and no renewal waits for that.
                    let compared = tokio::time::timeout(self.settings.lease / 4, self.compare_clocks()).await;
                    return match compared {
                        Ok(Err(error @ WorkerError::Clock(_))) => Err(error),
                        _ => Ok(true),
                    };
                }
                // It was let go while the answer was on its way: only a fresh epoch tells what became of a COMMIT.
            } else {
                self.held.store(None);
            }
        }
        self.compare_clocks().await?;
        let (deadline, since) = from_now();
        match self.journal.take(&self.settings.owner, self.settings.lease).await? {
            Some(lease) => {
                if lease.orphans > 0 {
                    tracing::warn!(epoch = lease.epoch, orphans = lease.orphans, "messages of a former engine are ambiguous");
                }
                if let Err(error) = self.ask_witness(&lease, deadline).await {
                    // Nothing may be intended before it has answered; whoever tries next asks again.
                    self.give_back(&lease).await;
                    return Err(error);
                }
                self.held.store(Some(Arc::new(Held { lease, deadline, since })));
                *lock(&self.low) = Low::default();
                // Whoever worked until now may have been told of an edit that we were not.
                *lock(&self.caught_up) = None;
                Ok(true)
            }
            None => Ok(false),
        }
    }

    /// Lets the lease go. After a COMMIT whose reply was lost nobody knows what is stored: a fresh epoch makes whatever it was either
    /// visible or void.
    pub(super) async fn let_go(&self) {
        if let Some(held) = self.held.swap(None) {
            self.give_back(&held.lease).await;
        }
    }

    /// Others may have the lease at once. Not while something is under way: a message that waits for a connection may still begin until
    /// the lease would have run out, and whoever takes it over before might send the same. Then only this process takes it again.
    async fn give_back(&self, lease: &Lease) {
        if self.flights.idle()
            && let Err(error) = self.journal.release(lease).await
        {
            tracing::warn!(label = error.label(), "could not let the lease go; it runs out by itself");
        }
    }

    /// Repeats all passes until `stop` turns true, then lets what is under way finish and gives the lease up.
    pub async fn run(self: Arc<Self>, mut stop: watch::Receiver<bool>) {
        let renewer = tokio::spawn(self.clone().keep_lease(stop.clone()));
        let keeper = tokio::spawn(self.clone().keep_house());
        let beat = Duration::from_millis(500);
        while !*stop.borrow() {
            let pause = match self.step().await {
                Ok(0) => beat,
                Ok(_) => Duration::ZERO,
                Err(WorkerError::Standby) => Duration::from_millis(200),
                Err(error) => {
                    tracing::warn!(label = error.label(), %error, "pass failed");
                    self.metrics.pass_failed(error.label());
                    if let WorkerError::Store(StoreError::AmbiguousCommit) = error {
                        self.let_go().await;
                    }
                    Duration::from_secs(1)
                }
            };
            if pause > Duration::ZERO {
                // In this order, so that a simulated run is the same each time.
                tokio::select! {
                    biased;
                    () = self.wake.notified() => {}
                    () = tokio::time::sleep(pause) => {}
                    _ = stop.wait_for(|stop| *stop) => {}
                }
            }
        }
        keeper.abort();
        // What has not reached a provider goes back to wait in the store.
        for state in self.adapters.load().channels.values() {
            state.channel.close();
        }
        // Started messages wait for their replies, but not longer than a supervisor's patience.
        let _ = tokio::time::timeout(Duration::from_secs(20), self.flights.landed()).await;
        renewer.abort();
        if let Some(held) = self.held.swap(None)
            && let Err(error) = self.journal.release(&held.lease).await
        {
            tracing::warn!(label = error.label(), "could not release the lease; it runs out by itself");
        }
        self.set_phase(Phase::Stopped);
    }

    async fn keep_lease(self: Arc<Self>, stop: watch::Receiver<bool>) {
        let period = self.settings.lease / 4;
        let mut publications = self.publications.subscribe();
        let mut offered: Option<Instant> = None;
        loop {
            // While stopping only a lease that is held is kept, until what is under way has landed.
            if *stop.borrow() && self.held.load().is_none() {
                return;
            }
            let pause = match self.hold_lease().await {
                // Who could not send anything keeps from nobody what it found, be it by chance a moment before the others looked: it
                // lets go for longer than those wait who could, and again from time to time.
                Ok(true) if !self.is_wired() && offered.is_none_or(|at| at.elapsed() >= self.settings.lease * 2 + LET_GO) => {
                    offered = Some(Instant::now());
                    self.let_go().await;
                    LET_GO
                }
                Ok(true) => {
                    self.set_phase(Phase::Working);
                    period
                }
                Ok(false) => {
                    self.set_phase(Phase::Standby);
                    // A lease that is given up is taken at once: a rolling update must not cost seconds of sending. Who could not
                    // send anything lets the others try first.
                    if self.is_wired() { period.min(SOON) } else { self.settings.lease }
                }
                // Another one took over while the witness was asked.
                Err(WorkerError::Standby) => {
                    self.set_phase(Phase::Standby);
                    period.min(SOON)
                }
                Err(error) => {
                    self.metrics.pass_failed(error.label());
                    self.set_phase(match error {
                        WorkerError::Clock(why) => Phase::ClockWrong(why),
                        other => Phase::StoreDown(other.to_string()),
                    });
                    period
                }
            };
            tokio::select! {
                biased;
                () = tokio::time::sleep(pause) => {}
                _ = publications.changed(), if !self.is_wired() => {}
            }
        }
    }

    /// One round of all passes at the clock's present moment. Returns how many things were done.
    ///
    /// # Errors
    /// The first failure of a pass; the others had their turn all the same, and what they did is stored.
    pub async fn step(&self) -> Result<usize, WorkerError> {
        self.held()?;
        if *self.publications.borrow() == 0 {
            // Until it is known what is in force, every copy would look like one whose funnel is gone.
            return Ok(0);
        }
        let started = Instant::now();
        let mut round = Round::default();
        round.take(self.revision_pass().await)?;
        // A page of a CRM that cannot be stored must not keep what is due from leaving: every pass has its turn.
        round.take(self.sync_pass().await)?;
        round.take(self.inbox_pass().await)?;
        // Whoever called while their funnel was broken is heard before anything is sent to them.
        for _ in 0..MOST_ROUNDS {
            if round.failed.is_some() || !self.waits_for_repaired() {
                break;
            }
            round.take(self.inbox_pass().await)?;
        }
        round.take(self.replan_pass().await)?;
        round.take(self.backfill_pass().await)?;
        round.take(self.tick_pass().await)?;
        round.take(self.outbox_pass().await)?;
        round.take(self.witness_pass().await)?;
        self.metrics.step(started.elapsed(), round.done);
        round.failed.map_or(Ok(round.done), Err)
    }

    /// Repeats [`Engine::step`] until nothing is due at the present moment and everything handed over has landed. For virtual
    /// clocks.
    ///
    /// # Errors
    /// As `step`.
    pub async fn settle(&self) -> Result<usize, WorkerError> {
        let mut all = 0;
        loop {
            self.hold_lease_if_short().await?;
            let done = self.step().await?;
            self.flights.landed().await;
            if done == 0 {
                return Ok(all);
            }
            all += done;
        }
    }

    async fn hold_lease_if_short(&self) -> Result<(), WorkerError> {
        let soon = Instant::now() + self.settings.lease / 2;
        if self.held.load().as_ref().is_some_and(|held| held.deadline > soon) {
            return Ok(());
        }
        if self.hold_lease().await? { Ok(()) } else { Err(WorkerError::Standby) }
    }
}

#[cfg(test)]
mod tests {
    use super::{Engine, EngineSettings};
    use crate::{
        store::Store,
        workers::{Clock, EngineMetrics},
    };
    use std::time::Duration;

    /// After a COMMIT whose reply was lost, while messages of the batch before wait for a connection.
    #[tokio::test]
    async fn a_standby_sends_nothing_while_what_was_handed_over_here_may_still_begin() {
        let store = Store::open("memory:").await.unwrap();
        let metrics = EngineMetrics::new(&mut prometheus_client::registry::Registry::default());
        let engine = Engine::new(store.journal.clone(), Clock::Real, EngineSettings::default(), metrics);
        let standby = async || store.journal.take("standby", Duration::from_mins(1)).await.unwrap();
        assert!(engine.hold_lease().await.unwrap());
        let before = engine.held().unwrap().lease.epoch;
        engine.flights.begin_other();
        engine.let_go().await;
        assert!(engine.held().is_err());
        assert_eq!(standby().await, None);
        assert!(engine.hold_lease().await.unwrap());
        assert_eq!(engine.held().unwrap().lease.epoch, before + 1, "what is stored by now is either visible or void");
        engine.flights.end_other();
        engine.let_go().await;
        assert!(standby().await.is_some(), "nothing is under way: nobody waits");
    }
}
