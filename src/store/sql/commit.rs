//! One transaction of the engine: rows taken over, events consumed, copies moved on, effects written down. Only when it is
//! durable may bytes leave.

use super::budget;
use super::dialect::sql;
use super::effect::write_effects;
use super::funnel;
use super::history::{write_cycles, write_history};
use super::identity::reserve;
use super::lease::fence;
use super::open::Database;
use super::recipient;
use super::session::{Session, args, json_rows, to_json};
use super::suppress::{self, purpose_text};
use super::{Result, inbox, page};
use crate::engine::EffectKind;
use crate::model::{AddressHash, CopyId, FunnelKey, Purpose};
use crate::store::rules::{AddressHasher, up_to_ms};
use crate::store::{Batch, Change, Commit, Lease, NewEffect, StoreError};
use jiff::Timestamp;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

pub(super) async fn commit(database: &Database, hasher: &AddressHasher, lease: &Lease, batch: Batch) -> Result<Commit> {
    let now = batch.now.unwrap_or(Timestamp::UNIX_EPOCH);
    let mut tx = database.write().await?;
    fence(&mut tx, lease).await?;
    if let Some(page) = &batch.page {
        page::take_over(&mut tx, hasher, page, now).await?;
    }
    suppress::put(&mut tx, &batch.suppress).await?;
    if !batch.consumed.is_empty() {
        tx.run(sql!("inbox/consume"), args![inbox::id_rows(&batch.consumed)?]).await?;
    }
    if !batch.put_off.is_empty() {
        tx.run(sql!("inbox/put_off"), args![inbox::put_off_rows(&batch.put_off)?]).await?;
    }
    let mut outcome = Commit::default();
    if !batch.changes.is_empty() {
        changes(&mut tx, lease, batch.changes, now, &mut outcome).await?;
    }
    tx.commit().await?;
    Ok(outcome)
}

/// A change with the id of its copy.
pub(super) struct Placed {
    pub copy: CopyId,
    pub change: Change,
}

async fn changes(tx: &mut Session, lease: &Lease, changes: Vec<Change>, now: Timestamp, outcome: &mut Commit) -> Result<()> {
    let mut refused = refused(tx, &changes, outcome).await?;
    refused.extend(budget::beyond(tx, &changes, &refused).await?);
    // Locked before anything of the ledger is written, in the order of the key.
    let hashes: BTreeSet<AddressHash> = changes
        .iter()
        .enumerate()
        .filter(|(i, _)| !refused.contains(i))
        .flat_map(|(_, c)| c.effects.iter().filter(|e| is_message(e)).map(|e| e.effect.key.recipient.clone()))
        .collect();
    let recipients = recipient::lock(tx, &hashes).await?;
    let placed = place(tx, changes, &refused, outcome).await?;
    write_history(tx, &placed, now).await?;
    write_cycles(tx, &placed).await?;
    write_effects(tx, lease, &placed, recipients, now, outcome).await
}

pub(super) fn is_message(effect: &NewEffect) -> bool {
    matches!(effect.effect.kind, EffectKind::Message { .. })
}

#[derive(Serialize)]
struct FunnelName<'a> {
    namespace: &'a str,
    name: &'a str,
}

#[derive(Serialize)]
struct Asked<'a> {
    n: usize,
    copy_id: i64,
    recipient: &'a str,
    brand: &'a str,
    medium: &'static str,
    purpose: &'static str,
}

/// Changes whose messages must be decided again: they were decided on an older revision or for a deleted funnel, a prohibition
/// arrived meanwhile, or another change of this batch writes to the same address and neither has counted the other.
async fn refused(tx: &mut Session, changes: &[Change], outcome: &mut Commit) -> Result<HashSet<usize>> {
    let mut refused = HashSet::new();
    let mut asked = Vec::new();
    let mut funnels: BTreeSet<(&str, &str)> = BTreeSet::new();
    let mut advertised: HashMap<&AddressHash, CopyId> = HashMap::new();
    for (n, change) in changes.iter().enumerate() {
        for new in change.effects.iter().filter(|e| is_message(e)) {
            let EffectKind::Message { medium, purpose, .. } = &new.effect.kind else { continue };
            funnels.insert((&change.copy.funnel.namespace, &change.copy.funnel.name));
            asked.push(Asked {
                n,
                copy_id: change.copy.id.0,
                recipient: &new.effect.key.recipient.0,
                brand: &new.brand,
                medium: medium.as_str(),
                purpose: purpose_text(*purpose),
            });
            if *purpose == Purpose::Advertising
                && *advertised.entry(&new.effect.key.recipient).or_insert(change.copy.id) != change.copy.id
            {
                refused.insert(n);
            }
        }
    }
    if asked.is_empty() {
        return Ok(refused);
    }
    for mut c in tx.rows(sql!("effect/forbidden"), args![json_rows(&asked)?]).await? {
        refused.insert(c.small()?);
    }
    let names: Vec<FunnelName> = funnels.into_iter().map(|(namespace, name)| FunnelName { namespace, name }).collect();
    let mut in_force = HashMap::new();
    for mut c in tx.rows(sql!("revision/in_force"), args![json_rows(&names)?]).await? {
        in_force.insert(FunnelKey { namespace: c.text()?, name: c.text()? }, (c.int()?, c.flag()?));
    }
    for (n, change) in changes.iter().enumerate() {
        if let Some((number, deleted)) = in_force.get(&change.copy.funnel)
            && change.effects.iter().any(|e| is_message(e) && (*deleted || e.revision < *number))
        {
            outcome.outdated.insert(change.copy.funnel.clone());
            refused.insert(n);
        }
    }
    Ok(refused)
}

#[derive(Serialize)]
struct CopyRow<'a> {
    id: i64,
    ver: i64,
    funnel_id: i64,
    due_at: Option<i64>,
    amount: i64,
    cycle: i32,
    next_seq: i32,
    role: &'static str,
    stage: &'a str,
    connection: &'a str,
    deal: &'a str,
    state: String,
}

fn copy_row(change: &Change, id: CopyId, funnel_id: i64) -> Result<CopyRow<'_>> {
    let copy = &change.copy;
    Ok(CopyRow {
        id: id.0,
        ver: copy.ver,
        funnel_id,
        due_at: copy.next_at.map(up_to_ms),
        amount: copy.amount.0,
        cycle: copy.cycle,
        next_seq: copy.next_seq,
        role: copy.role.as_str(),
        stage: &copy.stage,
        connection: &change.connection,
        deal: &change.deal,
        state: to_json(&copy.state)?,
    })
}

/// Writes the copies: new ones, and those that are still what was decided on. Returns the changes that hold.
async fn place(tx: &mut Session, changes: Vec<Change>, refused: &HashSet<usize>, outcome: &mut Commit) -> Result<Vec<Placed>> {
    let mut stale: BTreeSet<CopyId> = BTreeSet::new();
    for n in refused {
        if let Some(change) = changes.get(*n).filter(|c| c.copy.id.0 != 0) {
            stale.insert(change.copy.id);
        }
    }
    let created = create(tx, &changes, refused, &mut stale).await?;

    // Several decisions about one copy follow each other: the last one is its state, and all stand or fall together.
    let mut updates: BTreeMap<CopyId, CopyRow> = BTreeMap::new();
    for change in changes.iter().filter(|c| c.copy.id.0 != 0 && !stale.contains(&c.copy.id)) {
        updates.insert(change.copy.id, copy_row(change, change.copy.id, 0)?);
    }
    if !updates.is_empty() {
        let rows: Vec<&CopyRow> = updates.values().collect();
        let mut done = HashSet::new();
        for mut c in tx.rows(sql!("copy/update"), args![json_rows(&rows)?]).await? {
            done.insert(CopyId(c.int()?));
        }
        stale.extend(updates.keys().copied().filter(|id| !done.contains(id)));
    }
    if !stale.is_empty() {
        // Decided before the database was found to be an earlier copy: as by a former owner, nothing of it holds, nor what it consumes.
        let first = tx.rows(sql!("counter/value"), args!["seq"]).await?.into_iter().next().map_or(Ok(0), |mut c| c.int())?;
        if changes.iter().any(|c| c.copy.id.0 != 0 && i64::from(c.copy.next_seq) < first) {
            return Err(StoreError::LeaseLost);
        }
    }
    outcome.stale.extend(stale.iter().copied());

    let mut placed = Vec::with_capacity(changes.len());
    for (n, change) in changes.into_iter().enumerate() {
        let copy = if change.copy.id.0 == 0 {
            let id = created.get(&n).copied().unwrap_or(CopyId(0));
            outcome.created.push(id);
            id
        } else {
            change.copy.id
        };
        if copy.0 != 0 && !stale.contains(&copy) {
            placed.push(Placed { copy, change });
        }
    }
    Ok(placed)
}

#[derive(Serialize)]
struct DealOfFunnel<'a> {
    funnel_id: i64,
    connection: &'a str,
    deal: &'a str,
}

/// Stores new copies. One that is there already is stale: somebody saw its deal first.
async fn create(
    tx: &mut Session,
    changes: &[Change],
    refused: &HashSet<usize>,
    stale: &mut BTreeSet<CopyId>,
) -> Result<HashMap<usize, CopyId>> {
    let new: Vec<(usize, &Change)> = changes.iter().enumerate().filter(|(n, c)| c.copy.id.0 == 0 && !refused.contains(n)).collect();
    let mut created = HashMap::new();
    if new.is_empty() {
        return Ok(created);
    }
    let mut funnels: HashMap<&FunnelKey, i64> = HashMap::new();
    for (_, change) in &new {
        if !funnels.contains_key(&change.copy.funnel) {
            funnels.insert(&change.copy.funnel, funnel::ensure(tx, &change.copy.funnel).await?);
        }
    }
    let first = reserve(tx, "copy", i64::try_from(new.len()).unwrap_or(i64::MAX)).await?;
    let mut rows = Vec::with_capacity(new.len());
    for ((n, change), id) in new.iter().zip(first..) {
        rows.push(copy_row(change, CopyId(id), funnels.get(&change.copy.funnel).copied().unwrap_or_default())?);
        created.insert(*n, CopyId(id));
    }
    let mut there = HashSet::new();
    for mut c in tx.rows(sql!("copy/insert"), args![json_rows(&rows)?]).await? {
        there.insert(c.int()?);
    }
    if there.len() == rows.len() {
        return Ok(created);
    }
    let lost: Vec<&CopyRow> = rows.iter().filter(|r| !there.contains(&r.id)).collect();
    let names: Vec<DealOfFunnel> =
        lost.iter().map(|r| DealOfFunnel { funnel_id: r.funnel_id, connection: r.connection, deal: r.deal }).collect();
    let mut existing: HashMap<(i64, String, String), CopyId> = HashMap::new();
    for mut c in tx.rows(sql!("copy/existing"), args![json_rows(&names)?]).await? {
        let id = CopyId(c.int()?);
        existing.insert((c.int()?, c.text()?, c.text()?), id);
    }
    for (n, row) in new.iter().map(|(n, _)| *n).zip(&rows).filter(|(_, r)| !there.contains(&r.id)) {
        let known = existing.get(&(row.funnel_id, row.connection.to_owned(), row.deal.to_owned())).copied();
        let known = known.ok_or_else(|| StoreError::Corrupt {
            what: "a copy was decided on for a deal that is not stored".into(),
            source: None,
        })?;
        // The id may be one that this very batch gave to an earlier change of the same deal: then only this one is dropped.
        if there.contains(&known.0) {
            created.remove(&n);
        } else {
            created.insert(n, known);
            stale.insert(known);
        }
    }
    Ok(created)
}
