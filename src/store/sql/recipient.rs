//! What each address got lately. The rows are locked in the order of their key, so that two clients who share a phone are
//! counted together.

use super::Result;
use super::dialect::sql;
use super::session::{Session, args, json_rows, to_json};
use crate::engine::Recent;
use crate::model::{AddressHash, CopyId};
use crate::store::rules::RECENT;
use jiff::Timestamp;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

#[derive(Serialize)]
struct Hash<'a> {
    hash: &'a str,
}

#[derive(Serialize)]
struct Row {
    hash: String,
    recent: String,
}

/// A message that certainly was not sent after all.
pub(super) struct Refund {
    pub hash: AddressHash,
    pub copy: CopyId,
    pub item: String,
}

pub(super) type Locked = BTreeMap<AddressHash, Vec<Recent>>;

pub(super) async fn lock(tx: &mut Session, hashes: &BTreeSet<AddressHash>) -> Result<Locked> {
    if hashes.is_empty() {
        return Ok(Locked::new());
    }
    let rows = json_rows(&hashes.iter().map(|h| Hash { hash: &h.0 }).collect::<Vec<_>>())?;
    tx.run(sql!("recipient/ensure"), args![&rows]).await?;
    let rows = tx.rows(sql!("recipient/lock"), args![rows]).await?;
    rows.into_iter().map(|mut c| Ok((AddressHash(c.text()?), c.json()?))).collect()
}

pub(super) async fn store(tx: &mut Session, locked: Locked, now: Timestamp) -> Result<()> {
    let rows: Vec<Row> = locked
        .into_iter()
        .map(|(hash, mut recent)| {
            recent.retain(|r| now.duration_since(r.at) <= RECENT);
            Ok(Row { hash: hash.0, recent: to_json(&recent)? })
        })
        .collect::<Result<_>>()?;
    if !rows.is_empty() {
        tx.run(sql!("recipient/set"), args![json_rows(&rows)?]).await?;
    }
    Ok(())
}

pub(super) async fn refund(tx: &mut Session, refunds: Vec<Refund>) -> Result<()> {
    let hashes: BTreeSet<AddressHash> = refunds.iter().map(|r| r.hash.clone()).collect();
    let mut locked = lock(tx, &hashes).await?;
    for refund in refunds {
        if let Some(recent) = locked.get_mut(&refund.hash)
            && let Some(at) = recent.iter().rposition(|r| r.copy == refund.copy && r.item == refund.item)
        {
            recent.remove(at);
        }
    }
    let newest = locked.values().flatten().map(|r| r.at).max();
    store(tx, locked, newest.unwrap_or(Timestamp::UNIX_EPOCH)).await
}
