//! Two clients turn out to be one while a message to one of them is being written down.

use crate::store_contract::{Backend, world::*};
use rekindle::model::{Purpose, Suppression, SuppressionReason, SuppressionScope};
use rekindle::store::Batch;

/// The one refused us. Whichever is first, the merge or the intent to the other, no byte may leave: the intent is refused, or the look at
/// suppressions after it finds what the other said.
async fn race(backend: &Backend, rounds: u32) -> [u32; 2] {
    let world = World::new(backend).await;
    let other = if backend.url.starts_with("postgres") { Some(backend.open().await) } else { None };
    let mut orders = [0, 0];
    for round in 0..rounds {
        let (a, b, n) = (format!("a{round}"), format!("b{round}"), 2 * round);
        let copies = world.deals(&[(&a, &a, n), (&b, &b, n + 1)]).await;
        let said = Suppression {
            scope: SuppressionScope::Client(world.copy(copies[0]).await.client.id.unwrap()),
            brand: Some("acme".into()),
            medium: None,
            purpose: Some(Purpose::Advertising),
            reason: SuppressionReason::Unsubscribed,
            at: at(1),
        };
        world.commit(Batch { now: Some(at(1)), suppress: vec![said], ..Batch::default() }).await;
        let change = world.decided(copies[1], vec![message(&world.store, 1, "first", &phone(n + 1))]).await;
        // The second contact has the first one's number.
        let mut merged = contact(&b, n + 1);
        merged.phones.push(phone(n));
        let merge = Batch { now: Some(at(2)), page: Some(page(vec![merged], vec![])), ..Batch::default() };
        let intent = Batch { now: Some(at(2)), changes: vec![change], ..Batch::default() };
        let one = world.store.journal.clone();
        let two = other.as_ref().map_or_else(|| one.clone(), |other| other.journal.clone());
        let (first, second) = (world.lease.clone(), world.lease.clone());
        let merging = async move { two.commit(&second, merge).await };
        let intending = async move { one.commit(&first, intent).await };
        // One after the other, either way, in which it is certain what must come of it; then both at once, each begun first in turn.
        let (merging, intending) = match round % 4 {
            0 => {
                let merging = tokio::spawn(merging).await;
                (merging, tokio::spawn(intending).await)
            }
            1 => {
                let intending = tokio::spawn(intending).await;
                (tokio::spawn(merging).await, intending)
            }
            2 => {
                let (merging, intending) = (tokio::spawn(merging), tokio::spawn(intending));
                (merging.await, intending.await)
            }
            _ => {
                let (intending, merging) = (tokio::spawn(intending), tokio::spawn(merging));
                (merging.await, intending.await)
            }
        };
        let commit = intending.unwrap().unwrap();
        merging.unwrap().unwrap();
        let refused = commit.stale == [copies[1]];
        let found = world.store.journal.suppressed(&[effect(copies[1], 1)]).await.unwrap() == [effect(copies[1], 1)];
        assert!(refused != found, "round {round}: refused {refused}, found {found}");
        if round % 4 < 2 {
            assert_eq!(refused, round % 4 == 0, "round {round}: what the other said before it is known to the store");
        }
        orders[usize::from(found)] += 1;
        // The next decision knows of both.
        let (first, second) = (world.copy(copies[0]).await, world.copy(copies[1]).await);
        assert_eq!(first.client.id, second.client.id);
        assert_eq!((first.client.recent.len(), second.client.recent.len()), (usize::from(found), usize::from(found)));
    }
    orders
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn clients_are_merged_at_the_moment_of_an_intent_over_two_connections() {
    let Some(backend) = Backend::postgres().await else { return };
    let [refused, found] = race(&backend, 30).await;
    eprintln!("{refused} intents refused, {found} stopped before their bytes");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn clients_are_merged_at_the_moment_of_an_intent_on_sqlite() {
    let [refused, found] = race(&Backend::sqlite(), 30).await;
    eprintln!("{refused} intents refused, {found} stopped before their bytes");
}
