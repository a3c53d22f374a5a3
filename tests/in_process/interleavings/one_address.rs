//! Two transactions at once write to one address: each must see what the other counted.

use crate::store_contract::{Backend, world::*};
use rekindle::store::Batch;
use std::sync::Arc;

/// Two clients share a phone, and their intents are written down over two connections at the same moment, many times over.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_intents_to_one_phone_over_two_connections_are_both_counted() {
    let Some(backend) = Backend::postgres().await else { return };
    let world = World::new(&backend).await;
    let other = Arc::new(backend.open().await);
    for round in 0..20_u32 {
        let (a, b) = (format!("a{round}"), format!("b{round}"));
        // Different people by the CRM, one number.
        let copies = world.deals(&[(&a, &a, 1000 + round), (&b, "", 0)]).await;
        let to = phone(1000 + round);
        let first = world.decided(copies[0], vec![message(&world.store, 1, "first", &to)]).await;
        let second = world.decided(copies[1], vec![message(&world.store, 1, "first", &to)]).await;
        let batch = |change| Batch { now: Some(at(10)), changes: vec![change], ..Batch::default() };
        let (one, two) = (world.store.journal.clone(), other.journal.clone());
        let (lease_one, lease_two) = (world.lease.clone(), world.lease.clone());
        let (first, second) = (batch(first), batch(second));
        let (x, y) = tokio::join!(
            tokio::spawn(async move { one.commit(&lease_one, first).await }),
            tokio::spawn(async move { two.commit(&lease_two, second).await })
        );
        let (x, y) = (x.unwrap().unwrap(), y.unwrap().unwrap());
        assert_eq!((x.stale.len(), y.stale.len()), (0, 0), "round {round}");
        let seen = world.copy(copies[0]).await.client.recent.len();
        assert_eq!(seen, 2, "round {round}: the address was written to twice, and the next decision must know");
    }
}
