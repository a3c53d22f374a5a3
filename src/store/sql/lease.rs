//! The lease, and what its change leaves behind.

use super::Result;
use super::dialect::sql;
use super::open::Database;
use super::session::{SILENCE_IN_TRANSACTION, Session, args, json_rows};
use super::suppress::ref_rows;
use crate::model::{CopyId, EffectRef, EffectStatus};
use crate::store::{Lease, StoreError};
use jiff::Timestamp;
use serde::Serialize;
use std::time::Duration;

/// For the time: it is asked for beside each renewal.
const PATIENCE: Duration = Duration::from_secs(2);

fn millis(ttl: Duration) -> i64 {
    i64::try_from(ttl.as_millis()).unwrap_or(i64::MAX / 4)
}

#[derive(Serialize)]
struct Orphan {
    copy_id: i64,
    seq: i32,
    status: i16,
    reason: Option<&'static str>,
    resends: u8,
}

pub(super) async fn take(database: &Database, owner: &str, ttl: Duration) -> Result<Option<Lease>> {
    let mut tx = database.write().await?;
    let Some(mut row) = tx.rows(sql!("lease/take"), args![owner, millis(ttl)]).await?.into_iter().next() else {
        return Ok(None);
    };
    let epoch = row.int()?;
    let mut orphans = Vec::new();
    let mut gone = Vec::new();
    let mut unknown = 0;
    for mut row in tx.rows(sql!("lease/orphans"), args![epoch]).await? {
        let (copy_id, seq, kind, started) = (row.int()?, row.small()?, row.text()?, row.opt_int()?.is_some());
        let message = kind == "message";
        let again = row.flag()? && message && started;
        unknown += u64::from(message && started && !again);
        if message && !again {
            gone.push(EffectRef { copy: CopyId(copy_id), seq });
        }
        orphans.push(Orphan {
            copy_id,
            seq,
            status: match (message && !again, started) {
                (true, true) => EffectStatus::Unknown,
                (true, false) => EffectStatus::Failed,
                (false, _) => EffectStatus::Planned,
            }
            .code(),
            reason: message.then_some(match (again, started) {
                (true, _) => "unclear (Interrupted), sent again",
                (false, true) => "Interrupted",
                (false, false) => "TextLost",
            }),
            resends: u8::from(again),
        });
    }
    if !orphans.is_empty() {
        tx.run(sql!("lease/orphan_effects"), args![json_rows(&orphans)?]).await?;
        tx.run(sql!("lease/orphan_waiting"), args![epoch]).await?;
        tx.run(sql!("outbox/done"), args![ref_rows(&gone)?]).await?;
    }
    tx.commit().await?;
    Ok(Some(Lease { epoch, owner: owner.to_owned(), orphans: unknown }))
}

/// On SQLite whoever opens the database for work has just got its lock file, so whoever held the lease is dead and nothing of it
/// can still write: the next take-over need not wait for the lease to run out. The epoch stays, so what the dead one left open is
/// found as ever. On PostgreSQL nothing proves a death but time.
pub(super) async fn bury_dead(database: &Database) -> Result<()> {
    if matches!(database, Database::Sqlite { .. }) {
        database.lease(SILENCE_IN_TRANSACTION).await?.run(sql!("lease/bury"), args![]).await?;
    }
    Ok(())
}

pub(super) async fn renew(database: &Database, lease: &Lease, ttl: Duration) -> Result<bool> {
    // Whoever waits longer for the answer does not learn that another has the lease by then.
    let mut session = database.lease(ttl).await?;
    Ok(session.run(sql!("lease/renew"), args![&lease.owner, lease.epoch, millis(ttl)]).await? > 0)
}

pub(super) async fn release(database: &Database, lease: &Lease) -> Result<()> {
    let mut session = database.lease(SILENCE_IN_TRANSACTION).await?;
    session.run(sql!("lease/release"), args![&lease.owner, lease.epoch]).await?;
    Ok(())
}

pub(super) async fn time(database: &Database) -> Result<Option<Timestamp>> {
    if matches!(database, Database::Sqlite { .. }) {
        return Ok(None);
    }
    let mut session = database.lease(PATIENCE).await?;
    session.rows(sql!("lease/time"), args![]).await?.into_iter().next().map(|mut row| row.time()).transpose()
}

/// The first statement of every transaction of the engine.
pub(super) async fn fence(tx: &mut Session, lease: &Lease) -> Result<()> {
    if tx.rows(sql!("lease/fence"), args![&lease.owner, lease.epoch]).await?.is_empty() {
        return Err(StoreError::LeaseLost);
    }
    Ok(())
}
