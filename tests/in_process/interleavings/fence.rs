//! Writing under a lease against the take-over of that lease, over two real connections, with every step where we want it. The bugs that
//! this must find (canaries 1, 2 and 5 of docs/reliability.md, and a fence that does not lock) are told beside the real statements: a
//! simulated store decides by itself what waits for what, and only a real one shows what a snapshot misses.

use crate::store_contract::{Backend, world::*};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection, Row as _};
use std::time::{Duration, Instant};

/// The statement that begins each of our transactions, as it is.
const FENCE: &str = include_str!("../../../src/store/sql/text/lease/fence.sql");

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bug {
    No,
    /// The fence asks whether there is a lease, not whose.
    NoEpochCheck,
    /// Looked at before the transaction, not in it.
    CheckOutside,
    /// Looked at in the transaction, without a lock.
    NoLock,
    /// Take-over and what it finds open, in one statement.
    OneStatement,
}

#[derive(Clone, Copy, Debug)]
enum Order {
    /// The take-over begins while the old owner's transaction is under way.
    TakeOverMeanwhile,
    /// The old owner stands still before its transaction and goes on after the take-over.
    WriteAfterwards,
}

/// Somebody waits for a lock in this database.
pub(super) async fn somebody_waits(look: &mut PgConnection) -> bool {
    let asked = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    look.fetch_one(asked).await.unwrap().get::<i64, _>(0) > 0
}

/// The old owner looks at its lease. False: it is not the owner any more.
async fn fenced(old: &mut PgConnection, owner: &str, epoch: i64, bug: Bug) -> bool {
    let text = match bug {
        Bug::NoEpochCheck => FENCE.replace("owner = $1 AND epoch = $2", "$1 <> '' AND $2 > 0"),
        Bug::NoLock => FENCE.replace("--pg FOR KEY SHARE", ""),
        _ => FENCE.to_owned(),
    };
    let asked = sqlx::query(AssertSqlSafe(text.replace("--pg ", ""))).bind(owner).bind(epoch);
    asked.fetch_optional(old).await.unwrap().is_some()
}

/// Epoch of the new owner, and how many open messages of others it found.
async fn take_over(backend: Backend, bug: Bug) -> (i64, u64) {
    if bug != Bug::OneStatement {
        let lease = backend.open().await.journal.take("two", TTL).await.unwrap().unwrap();
        return (lease.epoch, lease.orphans);
    }
    let mut connection = PgConnection::connect(&backend.url).await.unwrap();
    let statement = "WITH taken AS (UPDATE lease SET epoch = epoch + 1, owner = 'two', until = 9e15::bigint WHERE key = 'engine' RETURNING epoch)
         SELECT taken.epoch, (SELECT count(*) FROM outbox o WHERE o.epoch < taken.epoch) FROM taken";
    let row = connection.fetch_one(statement).await.unwrap();
    (row.get(0), u64::try_from(row.get::<i64, _>(1)).unwrap())
}

/// Messages that stand open under an epoch that is over, and that the take-over has not found: nobody will ever look at them.
async fn forgotten(bug: Bug, order: Order) -> Option<i64> {
    let backend = Backend::postgres().await?;
    let world = World::new(&backend).await;
    let copy = world.deals(&[("d", "c", 1)]).await[0];
    let (owner, epoch) = (world.lease.owner.clone(), world.lease.epoch);
    let mut old = PgConnection::connect(&backend.url).await.unwrap();
    let mut look = PgConnection::connect(&backend.url).await.unwrap();
    let intent = format!(
        "INSERT INTO outbox (copy_id, seq, shard, due_at, epoch, kind, target) VALUES ({copy}, 1, 0, 0, {epoch}, 'message', 'sms')"
    );
    world.store.journal.release(&world.lease).await.unwrap();
    let new = Backend::beside(&backend);
    let (begun, found) = match order {
        Order::TakeOverMeanwhile => {
            if bug == Bug::CheckOutside {
                assert!(fenced(&mut old, &owner, epoch, bug).await);
                old.execute("BEGIN").await.unwrap();
            } else {
                old.execute("BEGIN").await.unwrap();
                assert!(fenced(&mut old, &owner, epoch, bug).await);
            }
            old.execute(AssertSqlSafe(intent)).await.unwrap();
            let taking = tokio::spawn(take_over(new, bug));
            let since = Instant::now();
            while !taking.is_finished() && !somebody_waits(&mut look).await {
                assert!(since.elapsed() < Duration::from_secs(20), "it neither waits nor ends");
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            old.execute("COMMIT").await.unwrap();
            taking.await.unwrap()
        }
        Order::WriteAfterwards => {
            let before = bug == Bug::CheckOutside && fenced(&mut old, &owner, epoch, bug).await;
            let taken = take_over(new, bug).await;
            old.execute("BEGIN").await.unwrap();
            if before || bug != Bug::CheckOutside && fenced(&mut old, &owner, epoch, bug).await {
                old.execute(AssertSqlSafe(intent)).await.unwrap();
            }
            old.execute("COMMIT").await.unwrap();
            taken
        }
    };
    assert_eq!(begun, epoch + 1);
    let open = format!("SELECT count(*) FROM outbox WHERE epoch < {begun}");
    let left: i64 = look.fetch_one(AssertSqlSafe(open)).await.unwrap().get(0);
    // The real take-over puts what it found away; the one of the bug only counts.
    Some(if bug == Bug::OneStatement { left - i64::try_from(found).unwrap() } else { left })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_writer_and_a_take_over_leave_nothing_that_nobody_looks_at() {
    for order in [Order::TakeOverMeanwhile, Order::WriteAfterwards] {
        let Some(left) = forgotten(Bug::No, order).await else { return };
        assert_eq!(left, 0, "{order:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn bugs_of_the_fence_are_seen_over_two_connections() {
    for (bug, meanwhile, afterwards) in
        [(Bug::NoEpochCheck, 0, 1), (Bug::CheckOutside, 1, 1), (Bug::NoLock, 1, 0), (Bug::OneStatement, 1, 0)]
    {
        let Some(first) = forgotten(bug, Order::TakeOverMeanwhile).await else { return };
        let second = forgotten(bug, Order::WriteAfterwards).await;
        assert_eq!((first, second), (meanwhile, Some(afterwards)), "{bug:?}");
    }
}
