//! A refusal, a hold or a newer revision arrives while an intent is being written down.

use crate::store_contract::{Backend, world::*};
use rekindle::model::{Address, InboxEvent, Medium, SignalSubject, Suppression, SuppressionReason, SuppressionScope};
use rekindle::store::{Batch, Hold, HoldScope, Incoming};

/// STOP commits at the same moment as the intent. Whichever is first, no byte may leave: the intent is refused, or the look at
/// suppressions after it finds the STOP.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_stop_at_the_moment_of_the_intent_is_found_before_bytes_leave() {
    let Some(backend) = Backend::postgres().await else { return };
    let world = World::new(&backend).await;
    let web = backend.open().await;
    let mut orders = [0, 0];
    for round in 0..30_u32 {
        let id = format!("d{round}");
        let copy = world.deals(&[(&id, &id, round)]).await[0];
        let change = world.decided(copy, vec![message(&world.store, 1, "first", &phone(round))]).await;
        let number = Address::Phone(phone(round));
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
                scope: SuppressionScope::Address(world.store.journal.address_hash(&number)),
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
        let intent = tokio::spawn(async move { engine.commit(&lease, batch).await });
        let stop = tokio::spawn(async move { pages.receive(vec![stop]).await });
        let (commit, stopped) = (intent.await.unwrap().unwrap(), stop.await.unwrap().unwrap());
        assert_eq!(stopped, [true]);
        let refused = commit.stale == [copy];
        let found = world.store.journal.suppressed(&[effect(copy, 1)]).await.unwrap() == [effect(copy, 1)];
        assert!(refused != found, "round {round}: refused {refused}, found {found}");
        orders[usize::from(found)] += 1;
    }
    eprintln!("{} intents refused, {} stopped before their bytes", orders[0], orders[1]);
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
