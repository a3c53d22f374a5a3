//! How long the hot verbs take. Run with `cargo test --test in_process speed -- --ignored --nocapture`.

use super::Backend;
use super::world::*;
use rekindle::model::{Deal, EffectStatus, Outcome};
use rekindle::store::{Batch, Load, Mark, NewEffect};
use std::time::Instant;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement"]
async fn sqlite() {
    measure(&Backend::sqlite()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement"]
async fn memory() {
    measure(&Backend::memory()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement"]
async fn postgres() {
    if let Some(backend) = Backend::postgres().await {
        measure(&backend).await;
    }
}

async fn measure(backend: &Backend) {
    let world = World::new(backend).await;
    let (mut ids, mut took) = (Vec::new(), Vec::new());
    for n in 0..6_u32 {
        let rows: Vec<u32> = (n * 5000..(n + 1) * 5000).collect();
        let deals: Vec<Deal> = rows.iter().map(|i| deal(&format!("d{i}"), &format!("c{i}"))).collect();
        let contacts = rows.iter().map(|i| contact(&format!("c{i}"), *i)).collect();
        let changes = deals.iter().map(new_copy).collect();
        let batch = Batch { now: Some(at(0)), page: Some(page(contacts, deals)), changes, ..Batch::default() };
        let started = Instant::now();
        ids.extend(world.commit(batch).await.created);
        took.push(started.elapsed());
    }
    report("page of 5000 new deals with contacts and copies", &took);

    let (mut load, mut commit, mut mark) = (Vec::new(), Vec::new(), Vec::new());
    for (n, chunk) in ids.chunks(256).take(40).enumerate() {
        let started = Instant::now();
        let subjects = world.store.journal.load(&Load::Copies(chunk.to_vec()), at(0)).await.unwrap();
        load.push(started.elapsed());
        assert_eq!(subjects.len(), 256);
        let mut changes = Vec::new();
        for (i, subject) in subjects.into_iter().enumerate() {
            let number = u32::try_from(n * 256 + i).unwrap();
            let new = NewEffect { codes: vec![format!("h{number}")], ..message(&world.store, 1, "first", &phone(number)) };
            let mut change = new_copy(&subject.deal);
            change.copy = subject.copy;
            change.effects = vec![new];
            changes.push(change);
        }
        let batch = Batch { now: Some(at(10)), changes, ..Batch::default() };
        let started = Instant::now();
        let done = world.commit(batch).await;
        commit.push(started.elapsed());
        assert!(done.stale.is_empty() && done.conflicts.is_empty());
        let outcome = |copy| Outcome::Accepted { provider: "p".into(), provider_id: Some(format!("{copy}")) };
        let marks = chunk.iter().map(|c| Mark { effect: effect(*c, 1), attempt: 1, outcome: outcome(*c), at: at(11), next: None });
        let marks = marks.collect();
        let started = Instant::now();
        world.store.journal.mark(marks).await.unwrap();
        mark.push(started.elapsed());
    }
    assert_eq!(world.status(ids[0], 1).await, Some(EffectStatus::Accepted));
    report("load of 256 subjects", &load);
    report("commit of 256 messages", &commit);
    report("mark of 256 outcomes", &mark);
    let started = Instant::now();
    world.store.views.counts(&funnel(), None, at(0)).await.unwrap();
    report("counts of 30,000 copies", &[started.elapsed()]);
}

fn report(what: &str, took: &[std::time::Duration]) {
    let mut sorted = took.to_vec();
    sorted.sort();
    println!(
        "{what}: min {:?}, median {:?}, max {:?}, n {}",
        sorted[0],
        sorted[sorted.len() / 2],
        sorted[sorted.len() - 1],
        sorted.len()
    );
}
