//! The clock of the machine is wrong, and the database's is not: hours and caps of clients would go by a wrong one.

use crate::store_contract::Backend;
use jiff::Timestamp;
use rekindle::{
    compile::Snapshot,
    store::Store,
    workers::{Clock, Engine, EngineMetrics, EngineSettings, Phase, WorkerError},
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::watch,
    time::{Instant, timeout},
};

const PATIENCE: Duration = Duration::from_secs(30);

/// Wrong by so many milliseconds.
fn engine(store: &Store, wrong: &Arc<AtomicI64>) -> Arc<Engine> {
    let metrics = EngineMetrics::new(&mut prometheus_client::registry::Registry::default());
    let settings = EngineSettings { lease: Duration::from_secs(1), ..EngineSettings::default() };
    let clock = Clock::Simulated { start: Timestamp::now(), since: Instant::now(), offset: wrong.clone() };
    Engine::new(store.journal.clone(), clock, settings, metrics)
}

async fn until(engine: &Engine, phase: impl FnMut(&Phase) -> bool) {
    timeout(PATIENCE, engine.phase().wait_for(phase)).await.expect("in time").expect("a phase");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_engine_whose_clock_is_wrong_sends_nothing_and_says_so() {
    let Some(backend) = Backend::postgres().await else { return };
    let store = backend.open().await;
    let wrong = Arc::new(AtomicI64::new(0));
    let first = engine(&store, &wrong);
    first.follow(Some(&Snapshot::default())).await.unwrap();
    let (stop, stopping) = watch::channel(false);
    let running = tokio::spawn(first.clone().run(stopping));
    until(&first, |phase| *phase == Phase::Working).await;
    for (seconds, said) in [(9 * 3600 + 30, "is 9 h 0 min ahead of"), (-330, "is 5 min behind")] {
        wrong.store(seconds * 1000, Ordering::SeqCst);
        until(&first, |phase| matches!(phase, Phase::ClockWrong(why) if why.contains(said))).await;
        assert!(matches!(first.step().await, Err(WorkerError::Standby)), "{said}");
        // One that is off by seconds takes its place: nothing depends on those.
        let second = engine(&store, &Arc::new(AtomicI64::new(20_000)));
        let since = Instant::now();
        while !second.hold_lease().await.unwrap() {
            assert!(since.elapsed() < PATIENCE, "{said}: the lease is kept");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        wrong.store(0, Ordering::SeqCst);
        until(&first, |phase| *phase == Phase::Working).await;
    }
    stop.send_replace(true);
    running.await.unwrap();
}

/// It runs on the clock of this machine: there is nothing to compare with.
#[tokio::test]
async fn on_sqlite_no_clock_is_wrong() {
    let backend = Backend::sqlite();
    let store = backend.open().await;
    assert_eq!(store.journal.time().await.unwrap(), None);
    assert!(engine(&store, &Arc::new(AtomicI64::new(9 * 3_600_000))).hold_lease().await.unwrap());
}
