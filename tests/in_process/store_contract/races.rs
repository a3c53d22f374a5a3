//! What needs two processes, or two connections, at once.

use super::Backend;
use super::world::*;
use rekindle::engine::{CycleChange, CycleEnd};
use rekindle::model::{CopyId, EffectStatus, Outcome};
use rekindle::store::{Batch, Change, Charge, Hold, HoldScope, Mark, NewEffect, Period, Store, StoreError};
use sqlx::{Connection as _, Executor as _, Row as _};
use std::time::{Duration, Instant};

#[tokio::test]
async fn sqlite_has_one_process_and_readers_beside_it() {
    let backend = Backend::sqlite();
    assert!(matches!(Store::open_beside(&backend.url).await, Err(StoreError::Url(_))), "nothing is created");
    let world = World::new(&backend).await;
    assert!(matches!(Store::open(&backend.url).await, Err(StoreError::Locked(_))));
    let copy = world.deals(&[("d", "c", 1)]).await[0];
    let beside = Store::open_beside(&backend.url).await.unwrap();
    assert_eq!(beside.views.funnels().await.unwrap(), [funnel()]);
    let hold = Hold { scope: HoldScope::All, since: at(1), by: "sre".into(), reason: "stop".into() };
    beside.journal.hold(hold).await.unwrap();
    let commit = world.decide(copy, vec![message(&world.store, 1, "first", &phone(1))]).await;
    assert_eq!(commit.held, [effect(copy, 1)], "the running process obeys from its next transaction on");
    assert!(beside.journal.release_hold(&HoldScope::All).await.unwrap());
    assert_eq!(beside.journal.secret(), world.store.journal.secret());
}

#[tokio::test]
async fn what_was_committed_survives_closing_and_opening() {
    let backend = Backend::sqlite();
    let world = World::new(&backend).await;
    let copy = world.deals(&[("d", "c", 1)]).await[0];
    world.decide(copy, vec![message(&world.store, 1, "first", &phone(1))]).await;
    let secret = world.store.journal.secret();
    drop(world);
    // The lock goes with the last connection's thread, a moment later.
    let started = Instant::now();
    let store = loop {
        match Store::open(&backend.url).await {
            Ok(store) => break store,
            Err(StoreError::Locked(_)) if started.elapsed() < Duration::from_secs(10) => tokio::task::yield_now().await,
            Err(e) => panic!("{e}"),
        }
    };
    assert_eq!(store.journal.secret(), secret);
    // Whoever could open it has its lock file: the former owner is dead, and its lease is nobody's.
    let lease = store.journal.take("two", TTL).await.unwrap().unwrap();
    assert_eq!(store.journal.take("three", TTL).await.unwrap(), None, "the lease of a living one runs until its end");
    assert_eq!(lease.orphans, 1);
    let world = World { store, lease };
    assert_eq!(world.status(copy, 1).await, Some(EffectStatus::Unknown));
}

/// Whoever takes over meets outcomes that the former owner still writes down. Both lock rows one by one; in two orders each would wait for
/// the other, and PostgreSQL would end one of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_takeover_and_late_outcomes_do_not_end_each_other() {
    let Some(backend) = Backend::postgres().await else { return };
    let world = World::new(&backend).await;
    let copy = world.deals(&[("d", "c", 1)]).await[0];
    // Written down from the last to the first.
    let effects = (1..=9).rev().map(|seq| message(&world.store, seq, &format!("i{seq}"), &phone(1))).collect();
    world.decide(copy, effects).await;
    world.store.journal.release(&world.lease).await.unwrap();
    let store = world.store.clone();
    let take = async move { store.journal.take("two", TTL).await.unwrap().unwrap().orphans };
    let row = |seq: i32| format!("SELECT 1 FROM outbox WHERE seq = {seq} FOR UPDATE");
    assert_eq!(between(&backend, [row(1), row(9)], take).await, 9);
}

/// The same of the cycles that a batch of decisions changes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn decisions_and_outcomes_do_not_end_each_other() {
    let Some(backend) = Backend::postgres().await else { return };
    let world = World::new(&backend).await;
    let copies = world.deals(&[("d1", "c1", 1), ("d2", "c2", 2)]).await;
    let change = async |copy, what| Change { cycle: vec![what], ..world.decided(copy, Vec::new()).await };
    let begin = CycleChange::Begin { cycle: 1, at: at(0), holdout: false };
    let changes = vec![change(copies[0], begin.clone()).await, change(copies[1], begin).await];
    world.commit(Batch { now: Some(at(1)), changes, ..Batch::default() }).await;
    let ended = change(copies[0], CycleChange::End { cycle: 1, at: at(2), how: CycleEnd::Organic }).await;
    let contacted = change(copies[1], CycleChange::Contacted { cycle: 1, at: at(2) }).await;
    let batch = Batch { now: Some(at(2)), changes: vec![ended, contacted], ..Batch::default() };
    let (store, lease) = (world.store.clone(), world.lease.clone());
    let commit = async move { store.journal.commit(&lease, batch).await.unwrap().stale.len() };
    let row = |copy: CopyId| format!("SELECT 1 FROM cycle WHERE copy_id = {copy} FOR NO KEY UPDATE");
    assert_eq!(between(&backend, [row(copies[0]), row(copies[1])], commit).await, 0);
}

/// Another connection locks one row, then `work` begins, then it locks the other.
async fn between<T: Send + 'static>(backend: &Backend, rows: [String; 2], work: impl Future<Output = T> + Send + 'static) -> T {
    let mut other = sqlx::PgConnection::connect(&backend.url).await.unwrap();
    other.execute("BEGIN").await.unwrap();
    let mut working = None;
    let mut work = Some(work);
    for row in rows {
        other.execute(sqlx::AssertSqlSafe(row)).await.unwrap();
        if let Some(work) = work.take() {
            working = Some(tokio::spawn(work));
            tokio::time::sleep(Duration::from_millis(700)).await;
        }
    }
    other.execute("COMMIT").await.unwrap();
    working.unwrap().await.unwrap()
}

#[tokio::test]
async fn an_address_that_is_no_store_says_what_to_write_and_no_password() {
    for url in ["", "r.db", "mysql://u:secret@h/d", "sqlite:"] {
        let Err(e) = Store::open(url).await else { panic!("{url}") };
        assert!(matches!(e, StoreError::Url(_)) && e.to_string().contains("sqlite:PATH"), "{e}");
        assert!(!e.to_string().contains("secret"), "{e}");
    }
}

#[tokio::test]
async fn a_newer_schema_is_used_if_it_says_so_and_refused_if_not() {
    for (reads_from, fine) in [(1, true), (99, false)] {
        let backend = Backend::sqlite();
        drop(Store::open(&backend.url).await.unwrap());
        backend.execute(&format!("INSERT INTO schema_version VALUES (99, 'later', 0, {reads_from})")).await;
        let opened = Store::open_beside(&backend.url).await;
        match opened {
            Ok(_) => assert!(fine),
            Err(e) => assert!(!fine && e.label() == "incompatible" && e.to_string().contains("newer rekindle"), "{e}"),
        }
    }
    let backend = Backend::sqlite();
    let path = backend.url.strip_prefix("sqlite:").unwrap();
    std::fs::write(path, b"").unwrap();
    let Err(e) = Store::open_beside(&backend.url).await else { panic!("it is empty") };
    assert_eq!(e.label(), "incompatible");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn replicas_may_start_together_on_an_empty_postgres() {
    let Some(backend) = Backend::postgres().await else { return };
    let starts: Vec<_> = (0..6).map(|_| tokio::spawn(Store::open(Box::leak(backend.url.clone().into_boxed_str())))).collect();
    let mut secrets = Vec::new();
    for start in starts {
        secrets.push(start.await.unwrap().unwrap().journal.secret());
    }
    secrets.dedup();
    assert_eq!(secrets.len(), 1);
}

/// Interleaving: the old owner is inside its transaction while its lease runs out and another takes over.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_takeover_waits_for_a_transaction_in_flight_and_sees_what_it_wrote() {
    let Some(backend) = Backend::postgres().await else { return };
    let world = World::new(&backend).await;
    let copy = world.deals(&[("d", "c", 1)]).await[0];
    world.decide(copy, vec![message(&world.store, 1, "first", &phone(1))]).await;
    // The old owner, by hand: fenced, and one more open message of its epoch not yet committed.
    let mut old = sqlx::PgConnection::connect(&backend.url).await.unwrap();
    old.execute("BEGIN").await.unwrap();
    old.execute("SELECT 1 FROM lease WHERE key = 'engine' FOR KEY SHARE").await.unwrap();
    assert!(world.store.journal.renew(&world.lease, TTL).await.unwrap(), "a renewal passes the fence");
    let late = format!(
        "INSERT INTO outbox (copy_id, seq, shard, due_at, epoch, kind, target) VALUES ({copy}, 2, 0, 0, {}, 'message', 'sms')",
        world.lease.epoch
    );
    old.execute(sqlx::AssertSqlSafe(late)).await.unwrap();
    world.store.journal.release(&world.lease).await.unwrap();
    let other = backend.open().await;
    let takeover = tokio::spawn(async move { other.journal.take("two", TTL).await });
    let mut look = sqlx::PgConnection::connect(&backend.url).await.unwrap();
    let started = Instant::now();
    loop {
        let waiting =
            look.fetch_one("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'");
        if waiting.await.unwrap().get::<i64, _>(0) > 0 {
            break;
        }
        assert!(started.elapsed() < Duration::from_secs(20) && !takeover.is_finished(), "the take-over did not wait");
        tokio::task::yield_now().await;
    }
    old.execute("COMMIT").await.unwrap();
    let lease = takeover.await.unwrap().unwrap().unwrap();
    assert_eq!((lease.epoch, lease.orphans), (world.lease.epoch + 1, 2));
    let batch = Batch { now: Some(at(9)), ..Batch::default() };
    let refused = world.store.journal.commit(&world.lease, batch).await.unwrap_err();
    assert!(matches!(refused, StoreError::LeaseLost));
}

/// Interleaving: both sides of a provider's id at once, many times over.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_receipt_and_its_mark_at_the_same_moment_both_count() {
    let Some(backend) = Backend::postgres().await else { return };
    let world = World::new(&backend).await;
    let copy = world.deals(&[("d", "c", 1)]).await[0];
    for seq in 1..=40 {
        world.decide(copy, vec![message(&world.store, seq, &format!("i{seq}"), &phone(1))]).await;
        let (mark, receipt) = (world.store.journal.clone(), world.store.journal.clone());
        let accepted = rekindle::model::Outcome::Accepted { provider: "p".into(), provider_id: Some(seq.to_string()) };
        let accepted = rekindle::store::Mark { effect: effect(copy, seq), attempt: 1, outcome: accepted, at: at(1), next: None };
        let (a, b) = tokio::join!(
            tokio::spawn(async move { mark.mark(vec![accepted]).await }),
            tokio::spawn(async move { receipt.receipt("p", &seq.to_string(), rekindle::model::Outcome::Delivered, at(2)).await })
        );
        a.unwrap().unwrap();
        b.unwrap().unwrap();
        assert_eq!(world.status(copy, seq).await, Some(EffectStatus::Delivered), "{seq}");
    }
}

/// Twenty messages at ten each, committed at the same moment over several connections while others are given back: the budget of a hundred is
/// never exceeded, and what it says was spent is what the ledger has.
async fn a_budget_holds_over_connections(backend: &Backend) {
    let world = World::new(backend).await;
    let names: Vec<(String, String)> = (0..20).map(|n| (format!("d{n}"), format!("c{n}"))).collect();
    let rows: Vec<(&str, &str, u32)> = names.iter().zip(1..).map(|((d, c), n)| (d.as_str(), c.as_str(), n)).collect();
    let copies = world.deals(&rows).await;
    let mut all = Vec::new();
    for (copy, n) in copies.iter().zip(1..) {
        let (policy, currency, day) = ("shop/default".into(), "RUB".into(), "2026-03-02".into());
        let charge = Charge { policy, currency, day, cost: 10, per_day: Some(100), per_month: None };
        let effects = vec![NewEffect { charge: Some(charge), ..message(&world.store, 1, "a", &phone(n)) }];
        all.push(Batch { now: Some(at(10)), changes: vec![world.decided(*copy, effects).await], ..Batch::default() });
    }
    let asked = [Period { policy: "shop/default".into(), currency: "RUB".into(), period: "2026-03-02".into() }];
    let mut under_way = tokio::task::JoinSet::new();
    for batch in all {
        let (journal, lease) = (world.store.journal.clone(), world.lease.clone());
        let asked = asked.clone();
        under_way.spawn(async move {
            let copy = batch.changes[0].copy.id;
            let commit = journal.commit(&lease, batch).await.unwrap();
            if !commit.stale.is_empty() {
                return 0;
            }
            assert!(journal.spent(&asked).await.unwrap()[0] <= 100, "more than the budget");
            // Every other one certainly did not leave: its money is somebody else's again.
            if copy.0 % 2 == 0 {
                return 10;
            }
            let outcome = Outcome::Rejected { reason: "no".into(), suppress: false };
            journal.mark(vec![Mark { effect: effect(copy, 1), attempt: 1, outcome, at: at(11), next: None }]).await.unwrap();
            0
        });
    }
    let kept: i64 = under_way.join_all().await.into_iter().sum();
    assert_eq!(world.store.journal.spent(&asked).await.unwrap(), [kept]);
    assert!(kept <= 100, "{kept}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_budget_holds_over_connections_on_sqlite() {
    a_budget_holds_over_connections(&Backend::sqlite()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_budget_holds_over_connections_on_postgres() {
    if let Some(backend) = Backend::postgres().await {
        a_budget_holds_over_connections(&backend).await;
    }
}
