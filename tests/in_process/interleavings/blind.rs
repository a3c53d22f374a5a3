//! A replica that has never reached the API server knows no address, and cannot send. It may find the lease free a moment before another
//! that could.

use rekindle::{
    compile::Snapshot,
    store::Store,
    workers::{Clock, Engine, EngineMetrics, EngineSettings, Phase},
};
use std::{sync::Arc, time::Duration};
use tokio::{sync::watch, time::timeout};

const PATIENCE: Duration = Duration::from_secs(30);

fn engine(store: &Store) -> Arc<Engine> {
    let metrics = EngineMetrics::new(&mut prometheus_client::registry::Registry::default());
    let settings = EngineSettings { lease: Duration::from_secs(1), ..EngineSettings::default() };
    Engine::new(store.journal.clone(), Clock::Real, settings, metrics)
}

async fn until(engine: &Engine, phase: Phase) {
    timeout(PATIENCE, engine.phase().wait_for(|now| *now == phase)).await.expect("in time").expect("a phase");
}

#[tokio::test]
async fn whoever_knows_no_address_works_alone_and_gives_way_to_who_does() {
    let store = Store::open("memory:").await.unwrap();
    let (stop, stopping) = watch::channel(false);
    let blind = engine(&store);
    let running = tokio::spawn(blind.clone().run(stopping.clone()));
    until(&blind, Phase::Working).await;

    let seeing = engine(&store);
    seeing.follow(Some(&Snapshot::default())).await.unwrap();
    let other = tokio::spawn(seeing.clone().run(stopping));
    until(&seeing, Phase::Working).await;
    until(&blind, Phase::Standby).await;
    // And it stays so.
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!((seeing.phase().borrow().clone(), blind.phase().borrow().clone()), (Phase::Working, Phase::Standby));
    stop.send_replace(true);
    running.await.unwrap();
    other.await.unwrap();
}
