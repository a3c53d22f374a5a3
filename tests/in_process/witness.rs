//! The witness outside the database: what it knows is asked before anything is written there, and nobody puts it back.

use jiff::Timestamp;
use rekindle::{
    compile::Snapshot,
    store::{FileWitness, HoldScope, Lease, Reserved, Said, Store, Witness, WitnessError},
    workers::{Clock, Engine, EngineMetrics, EngineSettings, WorkerError},
};
use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::sync::Semaphore;

/// A file that at times is not to be asked, and to which each writing waits for its turn.
#[derive(Debug)]
struct Moody {
    file: FileWitness,
    away: AtomicBool,
    turns: Semaphore,
}

impl Moody {
    fn new(folder: &Path, turns: usize) -> Arc<Self> {
        let file = FileWitness::new(folder.join("witness"));
        Arc::new(Self { file, away: AtomicBool::new(false), turns: Semaphore::new(turns) })
    }

    fn is_away(&self) -> bool {
        self.away.load(Ordering::SeqCst)
    }
}

#[async_trait::async_trait]
impl Witness for Moody {
    async fn read(&self) -> Result<Said, WitnessError> {
        if self.is_away() { Ok(Said::Away) } else { self.file.read().await }
    }

    async fn write(&self, reserved: Reserved) -> Result<Said, WitnessError> {
        let _turn = self.turns.acquire().await.unwrap();
        if self.is_away() { Ok(Said::Away) } else { self.file.write(reserved).await }
    }

    fn pace(&self) -> Duration {
        Duration::ZERO
    }
}

fn engine(store: &Store, owner: &str, witness: &Arc<Moody>) -> Arc<Engine> {
    let metrics = EngineMetrics::new(&mut prometheus_client::registry::Registry::default());
    let witness = Some(witness.clone() as Arc<dyn Witness>);
    let lease = Duration::from_secs(1);
    let settings = EngineSettings { owner: owner.into(), lease, witness, ..EngineSettings::default() };
    Engine::new(store.journal.clone(), Clock::Real, settings, metrics)
}

/// So many messages were handed over.
async fn sent(store: &Store, lease: &Lease, count: i64) {
    store.journal.raise_intents(lease, count, Timestamp::now()).await.unwrap();
}

async fn held(store: &Store) -> bool {
    store.journal.holds().await.unwrap().iter().any(|hold| hold.scope == HoldScope::All && hold.by == "witness")
}

fn at(count: i64) -> Said {
    Said::Block(Some(Reserved { from: count, to: count }))
}

/// The API server is slow just when the operator starts on a database of last night.
#[tokio::test]
async fn a_restored_database_is_noticed_as_soon_as_a_witness_that_was_away_answers() {
    let folder = tempfile::tempdir().unwrap();
    for (before, noticed) in [(10, true), (20, false)] {
        let store = Store::open("memory:").await.unwrap();
        let former = store.journal.take("former", Duration::from_mins(1)).await.unwrap().unwrap();
        sent(&store, &former, before).await;
        store.journal.release(&former).await.unwrap();
        let home = folder.path().join(before.to_string());
        std::fs::create_dir(&home).unwrap();
        let witness = Moody::new(&home, 1);
        witness.file.write(Reserved { from: 20, to: 20 }).await.unwrap();
        witness.away.store(true, Ordering::SeqCst);
        let engine = engine(&store, "engine", &witness);
        engine.follow(Some(&Snapshot::default())).await.unwrap();
        assert!(engine.hold_lease().await.unwrap(), "sending does not wait for it");
        engine.step().await.unwrap();
        assert_eq!(witness.file.read().await.unwrap(), at(20), "what it knows is not written over unread");
        assert!(!held(&store).await);
        // What is sent meanwhile makes up for nothing that was forgotten.
        sent(&store, &Lease { epoch: former.epoch + 1, owner: "engine".into(), orphans: 0 }, 30).await;
        witness.away.store(false, Ordering::SeqCst);
        engine.hold_lease().await.unwrap();
        engine.step().await.unwrap();
        assert_eq!(held(&store).await, noticed, "the database had counted {before}, the witness 20");
        let Said::Block(Some(stands)) = witness.file.read().await.unwrap() else { panic!("nothing stands there") };
        assert!(stands.from >= 20, "it was put back: {stands:?}");
    }
}

#[tokio::test]
async fn who_stood_still_for_a_lease_neither_puts_the_witness_back_nor_holds_what_another_sends() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open("memory:").await.unwrap();
    let (slow, quick) = (Moody::new(folder.path(), 0), Moody::new(folder.path(), 1));
    let paused = tokio::spawn({
        let engine = engine(&store, "paused", &slow);
        async move { engine.hold_lease().await }
    });
    // It has its lease and stands before the witness until that lease is over.
    tokio::time::sleep(Duration::from_millis(1_300)).await;
    let second = engine(&store, "second", &quick);
    assert!(second.hold_lease().await.unwrap());
    let lease = Lease { epoch: 2, owner: "second".into(), orphans: 0 };
    sent(&store, &lease, 1500).await;
    store.journal.release(&lease).await.unwrap();
    assert!(engine(&store, "third", &quick).hold_lease().await.unwrap());
    assert_eq!(quick.file.read().await.unwrap(), at(1500));

    slow.turns.add_permits(1);
    let woken = paused.await.unwrap();
    assert!(matches!(woken, Err(WorkerError::Standby)), "{woken:?}");
    assert_eq!(quick.file.read().await.unwrap(), at(1500), "what was sent after it stood still is known outside");
    assert!(!held(&store).await, "nothing was forgotten");
}
