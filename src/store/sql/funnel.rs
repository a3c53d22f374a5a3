//! Funnels: their revisions, their copies by pages, and holds.

use super::Result;
use super::dialect::sql;
use super::open::Database;
use super::session::{Session, args, to_json};
use crate::engine::Voice;
use crate::model::{CopyId, FunnelKey, stable_hash};
use crate::store::{Hold, HoldScope, Revision, StoreError};
use jiff::Timestamp;

/// The number under which a funnel's rows stand, if it is known.
pub(super) async fn find(session: &mut Session, funnel: &FunnelKey) -> Result<Option<i64>> {
    let rows = session.rows(sql!("funnel/id"), args![&funnel.namespace, &funnel.name]).await?;
    rows.into_iter().next().map(|mut c| c.int()).transpose()
}

/// The same, given a number now if it has none.
pub(super) async fn ensure(tx: &mut Session, funnel: &FunnelKey) -> Result<i64> {
    if let Some(id) = find(tx, funnel).await? {
        return Ok(id);
    }
    tx.run(sql!("funnel/ensure"), args![&funnel.namespace, &funnel.name]).await?;
    find(tx, funnel).await?.ok_or_else(|| StoreError::Corrupt { what: "a funnel just stored is not there".into(), source: None })
}

pub(super) async fn publish(
    database: &Database,
    funnel: &FunnelKey,
    voice: &Voice,
    snapshot: &serde_json::Value,
    now: Timestamp,
) -> Result<i64> {
    let text = to_json(snapshot)?;
    let hash = stable_hash(&[text.as_bytes()]).cast_signed();
    let mut tx = database.write().await?;
    let id = ensure(&mut tx, funnel).await?;
    // The update locks the funnel's row: two publishers get two numbers.
    tx.run(sql!("funnel/published"), args![id, now, &voice.brand, &voice.policy, voice.priority]).await?;
    let mut number = 0;
    if let Some(mut newest) = tx.rows(sql!("revision/newest"), args![id]).await?.into_iter().next() {
        number = newest.int()?;
        let (same_hash, deleted) = (newest.int()? == hash, newest.flag()?);
        if same_hash && !deleted && newest.text()? == text {
            tx.commit().await?;
            return Ok(number);
        }
    }
    number += 1;
    tx.run(sql!("revision/insert"), args![id, number, now, 0_i64, hash, text]).await?;
    tx.commit().await?;
    Ok(number)
}

pub(super) async fn retire(database: &Database, funnel: &FunnelKey, now: Timestamp) -> Result<()> {
    let mut tx = database.write().await?;
    if let Some(id) = find(&mut tx, funnel).await? {
        tx.run(sql!("funnel/retire"), args![id]).await?;
        if let Some(mut newest) = tx.rows(sql!("revision/newest"), args![id]).await?.into_iter().next() {
            let (number, hash, deleted, snapshot) = (newest.int()?, newest.int()?, newest.flag()?, newest.text()?);
            if !deleted {
                tx.run(sql!("revision/insert"), args![id, number + 1, now, 1_i64, hash, snapshot]).await?;
            }
        }
    }
    tx.commit().await
}

pub(super) async fn revisions(database: &Database) -> Result<Vec<Revision>> {
    let rows = database.read().await?.rows(sql!("revision/all_newest"), args![]).await?;
    rows.into_iter()
        .map(|mut c| {
            Ok(Revision {
                funnel: FunnelKey { namespace: c.text()?, name: c.text()? },
                number: c.int()?,
                published_at: c.time()?,
                snapshot: c.json()?,
                deleted: c.flag()?,
            })
        })
        .collect()
}

pub(super) async fn first_published(database: &Database, funnel: &FunnelKey) -> Result<Option<Timestamp>> {
    let rows = database.read().await?.rows(sql!("funnel/first_published"), args![&funnel.namespace, &funnel.name]).await?;
    rows.into_iter().next().map_or(Ok(None), |mut c| c.opt_time())
}

pub(super) async fn copies_of(database: &Database, funnel: &FunnelKey, after: CopyId, limit: u32) -> Result<Vec<CopyId>> {
    let mut session = database.read().await?;
    let Some(id) = find(&mut session, funnel).await? else { return Ok(Vec::new()) };
    let rows = session.rows(sql!("copy/of_funnel"), args![id, after.0, limit]).await?;
    rows.into_iter().map(|mut c| c.int().map(CopyId)).collect()
}

pub(super) async fn backfill(database: &Database, funnel: &FunnelKey, lost_since: Timestamp, limit: u32) -> Result<Vec<CopyId>> {
    let mut session = database.read().await?;
    let Some(id) = find(&mut session, funnel).await? else { return Ok(Vec::new()) };
    let rows = session.rows(sql!("copy/backfill"), args![id, lost_since, limit]).await?;
    rows.into_iter().map(|mut c| c.int().map(CopyId)).collect()
}

fn scope_key(scope: &HoldScope) -> (&'static str, &str, &str) {
    match scope {
        HoldScope::All => ("all", "", ""),
        HoldScope::Channel(name) => ("channel", "", name),
        HoldScope::Funnel(key) => ("funnel", &key.namespace, &key.name),
    }
}

pub(super) async fn holds(session: &mut Session) -> Result<Vec<Hold>> {
    let rows = session.rows(sql!("hold/list"), args![]).await?;
    rows.into_iter()
        .map(|mut c| {
            let (scope, namespace, name) = (c.text()?, c.text()?, c.text()?);
            let scope = match scope.as_str() {
                "channel" => HoldScope::Channel(name),
                "funnel" => HoldScope::Funnel(FunnelKey { namespace, name }),
                // A scope that this version does not know: better too much on hold than too little.
                _ => HoldScope::All,
            };
            Ok(Hold { scope, since: c.time()?, by: c.text()?, reason: c.text()? })
        })
        .collect()
}

pub(super) async fn hold(database: &Database, hold: &Hold) -> Result<()> {
    let (scope, namespace, name) = scope_key(&hold.scope);
    let mut tx = database.write().await?;
    tx.run(sql!("hold/set"), args![scope, namespace, name, hold.since, &hold.by, &hold.reason]).await?;
    tx.commit().await
}

pub(super) async fn release_hold(database: &Database, scope: &HoldScope) -> Result<bool> {
    let (scope, namespace, name) = scope_key(scope);
    let mut tx = database.write().await?;
    let gone = tx.run(sql!("hold/release"), args![scope, namespace, name]).await?;
    tx.commit().await?;
    Ok(gone > 0)
}
