//! A connection goes silent: a firewall forgot it, the machine at the other end is gone, and nobody says so. Whoever asks must not wait
//! for ever, and what never answers must not stay in the pool.

use crate::store_contract::{Backend, world::*};
use rekindle::store::{Store, StoreError};
use std::{sync::Arc, time::Duration};
use wire::Wire;

#[allow(dead_code)]
#[path = "../../binary/wire.rs"]
mod wire;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_connection_is_given_up_and_replaced() {
    let Some(direct) = Backend::postgres().await else { return };
    let (wire, through) = Wire::before(&direct.url);
    let store = Store::open(&through).await.unwrap();
    let lease = store.journal.take("one", Duration::from_mins(10)).await.unwrap().unwrap();
    assert!(store.journal.renew(&lease, Duration::from_secs(1)).await.unwrap());
    wire.go_silent();
    let started = std::time::Instant::now();
    // The lease's own connection: no longer than the lease that was asked for, and the pool's question before it.
    let unheard = store.journal.renew(&lease, Duration::from_secs(1)).await;
    assert!(unheard.is_ok() || matches!(unheard, Err(StoreError::Unavailable(_))), "{unheard:?}");
    let _ = store.journal.renew(&lease, Duration::from_mins(10)).await.unwrap();
    // And those of everything else.
    assert!(store.journal.holds().await.unwrap().is_empty());
    let again = store.journal.take("one", TTL).await.unwrap().unwrap();
    assert!(again.epoch > lease.epoch);
    assert!(started.elapsed() < Duration::from_mins(1), "{:?}", started.elapsed());
}

/// The answer is lost while it is waited for: the place in the pool is free again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_renewal_whose_answer_never_comes_ends_with_the_lease() {
    let Some(direct) = Backend::postgres().await else { return };
    let (wire, through) = Wire::before(&direct.url);
    let store = Arc::new(Store::open(&through).await.unwrap());
    let lease = store.journal.take("one", Duration::from_mins(10)).await.unwrap().unwrap();
    // Somebody holds the row, so that the renewal waits for its answer when the connection goes silent.
    let mut other = <sqlx::PgConnection as sqlx::Connection>::connect(&direct.url).await.unwrap();
    sqlx::raw_sql("BEGIN; SELECT 1 FROM lease FOR UPDATE").execute(&mut other).await.unwrap();
    let (asked, of) = (store.clone(), lease.clone());
    let renewal = tokio::spawn(async move { asked.journal.renew(&of, Duration::from_secs(2)).await });
    tokio::time::sleep(Duration::from_millis(500)).await;
    wire.go_silent();
    let unheard = tokio::time::timeout(Duration::from_mins(1), renewal).await.expect("it does not wait for ever").unwrap();
    assert!(matches!(unheard, Err(StoreError::Unavailable(_))), "{unheard:?}");
    sqlx::raw_sql("ROLLBACK").execute(&mut other).await.unwrap();
    let renewed = tokio::time::timeout(Duration::from_mins(1), store.journal.renew(&lease, Duration::from_mins(10))).await;
    assert!(renewed.expect("another connection is made").is_ok());
}
