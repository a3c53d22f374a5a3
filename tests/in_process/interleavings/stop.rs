//! A refusal, a hold or a newer revision arrives while an intent is being written down.

use super::fence::somebody_waits;
use crate::store_contract::{Backend, world::*};
use rekindle::model::{Address, InboxEvent, Medium, SignalSubject, Suppression, SuppressionReason, SuppressionScope};
use rekindle::store::{Batch, Hold, HoldScope, Incoming};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    StopFirst,
    IntentFirst,
    /// The intent has asked for prohibitions and waits for the address; STOP commits meanwhile.
    StopWithinIntent,
    /// STOP is under way and not committed; the intent begins and commits meanwhile.
    IntentWithinStop,
    AtOnce,
}

const ORDERS: [Order; 5] = [Order::StopFirst, Order::IntentFirst, Order::StopWithinIntent, Order::IntentWithinStop, Order::AtOnce];

/// Waits until it waits for what the barrier holds.
async fn until_it_waits<T>(look: &mut PgConnection, task: &JoinHandle<T>) {
    let since = Instant::now();
    while !somebody_waits(look).await {
        assert!(!task.is_finished(), "it went past the barrier");
        assert!(since.elapsed() < Duration::from_secs(20), "it neither waits nor ends");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// STOP commits at the same moment as the intent. Whichever is first, no byte may leave: the intent is refused, or the look at
/// suppressions after it finds the STOP.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_stop_at_the_moment_of_the_intent_is_found_before_bytes_leave() {
    let Some(backend) = Backend::postgres().await else { return };
    let world = World::new(&backend).await;
    let web = backend.open().await;
    let mut barrier = PgConnection::connect(&backend.url).await.unwrap();
    let mut look = PgConnection::connect(&backend.url).await.unwrap();
    for round in 0..30_u32 {
        let id = format!("d{round}");
        let copy = world.deals(&[(&id, &id, round)]).await[0];
        let change = world.decided(copy, vec![message(&world.store, 1, "first", &phone(round))]).await;
        let number = Address::Phone(phone(round));
        let hash = world.store.journal.address_hash(&number);
        let stop = Incoming {
            source: "sms".into(),
            id,
            event: InboxEvent::Unsubscribe {
                subject: SignalSubject { phone: Some(phone(round)), ..SignalSubject::default() },
                at: at(9),
                only: None,
            },
            received_at: at(9),
            not_before: None,
            suppress: vec![Suppression {
                scope: SuppressionScope::Address(hash.clone()),
                brand: None,
                medium: Some(Medium::Sms),
                purpose: None,
                reason: SuppressionReason::Stop,
                at: at(9),
            }],
            click: None,
        };
        let (engine, pages, lease) = (world.store.journal.clone(), web.journal.clone(), world.lease.clone());
        let batch = Batch { now: Some(at(10)), changes: vec![change], ..Batch::default() };
        let intent = async move { engine.commit(&lease, batch).await.unwrap() };
        let stop = async move { pages.receive(vec![stop]).await.unwrap() };
        let order = ORDERS[round as usize % ORDERS.len()];
        let (commit, stopped) = match order {
            Order::StopFirst => {
                let stopped = stop.await;
                (intent.await, stopped)
            }
            Order::IntentFirst => (intent.await, stop.await),
            Order::StopWithinIntent => {
                let row = format!("INSERT INTO recipient (hash, ver, recent) VALUES ('{}', 0, '[]')", hash.0);
                barrier.execute(AssertSqlSafe(row)).await.unwrap();
                barrier.execute("BEGIN").await.unwrap();
                let held = format!("SELECT 1 FROM recipient WHERE hash = '{}' FOR UPDATE", hash.0);
                barrier.execute(AssertSqlSafe(held)).await.unwrap();
                let intent = tokio::spawn(intent);
                until_it_waits(&mut look, &intent).await;
                let stopped = stop.await;
                barrier.execute("COMMIT").await.unwrap();
                (intent.await.unwrap(), stopped)
            }
            Order::IntentWithinStop => {
                barrier.execute("BEGIN").await.unwrap();
                // Whoever writes waits, whoever reads does not.
                barrier.execute("LOCK TABLE suppression IN SHARE MODE").await.unwrap();
                let stop = tokio::spawn(stop);
                until_it_waits(&mut look, &stop).await;
                let commit = intent.await;
                barrier.execute("COMMIT").await.unwrap();
                (commit, stop.await.unwrap())
            }
            Order::AtOnce => {
                let (intent, stop) = (tokio::spawn(intent), tokio::spawn(stop));
                (intent.await.unwrap(), stop.await.unwrap())
            }
        };
        assert_eq!(stopped, [true]);
        let refused = commit.stale == [copy];
        let found = world.store.journal.suppressed(&[effect(copy, 1)]).await.unwrap() == [effect(copy, 1)];
        assert!(refused != found, "round {round}, {order:?}: refused {refused}, found {found}");
        if order != Order::AtOnce {
            assert_eq!(refused, order == Order::StopFirst, "round {round}: what was forbidden before it is not written down");
        }
    }
}

/// A hold set over another connection (an SRE with the API server down, the engine cut off from everything but the database) is
/// obeyed by the next transaction, and by messages that wait for another attempt.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_hold_set_beside_a_running_engine_holds_from_its_next_transaction() {
    let Some(backend) = Backend::postgres().await else { return };
    let world = World::new(&backend).await;
    let copies = world.deals(&[("a", "a", 1), ("b", "b", 2)]).await;
    let before = world.decide(copies[0], vec![message(&world.store, 1, "first", &phone(1))]).await;
    assert!(before.held.is_empty());
    let beside = rekindle::store::Store::open_beside(&backend.url).await.unwrap();
    let hold = Hold { scope: HoldScope::All, since: at(11), by: "sre".into(), reason: "a wrong text".into() };
    beside.journal.hold(hold).await.unwrap();
    let after = world.decide(copies[1], vec![message(&world.store, 1, "first", &phone(2))]).await;
    assert_eq!(after.held, [effect(copies[1], 1)]);
    assert!(world.outbox(at(99)).await.is_empty());
    assert!(beside.journal.release_hold(&HoldScope::All).await.unwrap());
}
