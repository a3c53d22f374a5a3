//! One transaction of the engine: rows taken over, events consumed, copies moved on, effects written down. Only when it is
//! durable may bytes leave.

use super::budget;
use super::dialect::sql;
use super::funnel;
use super::identity::reserve;
use super::lease::fence;
use super::open::Database;
use super::outbox::{OutboxRow, count_intents};
use super::recipient::{self, Locked};
use super::session::{Session, args, json_rows, to_json};
use super::suppress::{self, purpose_text};
use super::{Result, inbox, page};
use crate::engine::{CycleChange, EffectKind, History, Recent};
use crate::model::{AddressHash, CopyId, EffectRef, EffectStatus, FunnelKey, Purpose};
use crate::store::rules::{AddressHasher, CODE_LIFE, is_held, item_name, kind_word, up_to_ms};
use crate::store::{Batch, Change, Charge, Commit, Lease, NewEffect, StoreError};
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
    let mut outcome = Commit::default();
    if !batch.changes.is_empty() {
        changes(&mut tx, lease, batch.changes, now, &mut outcome).await?;
    }
    tx.commit().await?;
    Ok(outcome)
}

/// A change with the id of its copy.
struct Placed {
    copy: CopyId,
    change: Change,
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
    write_reactions(tx, &placed, now).await?;
    write_cycles(tx, &placed).await?;
    write_effects(tx, lease, &placed, recipients, now, outcome).await
}

fn is_message(effect: &NewEffect) -> bool {
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

#[derive(Serialize)]
struct HistoryRow<'a> {
    copy_id: i64,
    ver: i64,
    n: usize,
    kind: &'static str,
    role: Option<&'static str>,
    stage: Option<&'a str>,
    amount: Option<i64>,
    body: String,
}

#[derive(Serialize)]
struct ReactionRow {
    copy_id: i64,
    ver: i64,
    n: usize,
    /// `None`: somebody above was told.
    seconds: Option<i64>,
}

async fn write_history(tx: &mut Session, placed: &[Placed], now: Timestamp) -> Result<()> {
    let mut rows = Vec::new();
    let mut lines: HashMap<CopyId, usize> = HashMap::new();
    for Placed { copy, change } in placed {
        let amount = Some(change.copy.amount.0);
        let n = lines.entry(*copy).or_default();
        let mut push = |kind: &'static str, role: Option<&'static str>, stage, body| {
            let amount = if role.is_some() { amount } else { None };
            rows.push(HistoryRow { copy_id: copy.0, ver: change.copy.ver + 1, n: *n, kind, role, stage, amount, body });
            *n += 1;
        };
        // Every copy has a first line, so that its stage at any moment can be told.
        let placed_by_history = change.history.iter().any(|h| matches!(h, History::Stage { .. }));
        if change.copy.id.0 == 0 && !placed_by_history {
            push("stage", Some(change.copy.role.as_str()), Some(change.copy.stage.as_str()), String::new());
        }
        for line in &change.history {
            let body = to_json(line)?;
            match line {
                History::Stage { to, stage, .. } => push("stage", Some(to.as_str()), Some(stage.as_str()), body),
                History::List { .. } => push("list", None, None, body),
                History::Postponed { .. } => push("postponed", None, None, body),
                History::Signal { .. } => push("signal", None, None, body),
                History::Reaction { .. } => push("reaction", None, None, body),
                History::Unanswered { .. } => push("unanswered", None, None, body),
                History::Note { .. } => push("note", None, None, body),
            }
        }
    }
    if !rows.is_empty() {
        tx.run(sql!("copy/history"), args![json_rows(&rows)?, now]).await?;
    }
    Ok(())
}

/// Beside the lines of history, what people count of them.
async fn write_reactions(tx: &mut Session, placed: &[Placed], now: Timestamp) -> Result<()> {
    let mut rows: Vec<ReactionRow> = Vec::new();
    for Placed { copy, change } in placed {
        for line in &change.history {
            let seconds = match line {
                History::Reaction { seconds } => Some(*seconds),
                History::Unanswered { .. } => None,
                _ => continue,
            };
            // Unique within the batch, which is all that the key asks for.
            rows.push(ReactionRow { copy_id: copy.0, ver: change.copy.ver + 1, n: rows.len(), seconds });
        }
    }
    if !rows.is_empty() {
        tx.run(sql!("copy/reaction"), args![json_rows(&rows)?, now]).await?;
    }
    Ok(())
}

#[derive(Serialize)]
struct CycleRow {
    copy_id: i64,
    cycle: i32,
    at: i64,
    holdout: u8,
    role: &'static str,
    how: &'static str,
}

async fn write_cycles(tx: &mut Session, placed: &[Placed]) -> Result<()> {
    let (mut begin, mut held_out, mut contacted, mut end) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for Placed { copy, change } in placed {
        let row = |cycle, at: Timestamp, holdout, how| CycleRow {
            copy_id: copy.0,
            cycle,
            at: at.as_millisecond(),
            holdout: u8::from(holdout),
            role: change.copy.role.as_str(),
            how,
        };
        for what in &change.cycle {
            match *what {
                CycleChange::Begin { cycle, at, holdout } => begin.push(row(cycle, at, holdout, "")),
                CycleChange::HeldOut { cycle } => held_out.push(row(cycle, Timestamp::UNIX_EPOCH, true, "")),
                CycleChange::Contacted { cycle, at } => contacted.push(row(cycle, at, false, "")),
                CycleChange::End { cycle, at, how } => end.push(row(cycle, at, false, how.as_str())),
            }
        }
    }
    if !begin.is_empty() {
        let rows = json_rows(&begin)?;
        tx.run(sql!("cycle/close_open"), args![&rows]).await?;
        tx.run(sql!("cycle/begin"), args![rows]).await?;
    }
    if !held_out.is_empty() {
        tx.run(sql!("cycle/held_out"), args![json_rows(&held_out)?]).await?;
    }
    if !contacted.is_empty() {
        tx.run(sql!("cycle/contacted"), args![json_rows(&contacted)?]).await?;
    }
    if !end.is_empty() {
        tx.run(sql!("cycle/end"), args![json_rows(&end)?]).await?;
    }
    Ok(())
}

#[derive(Serialize)]
struct EffectRow<'a> {
    copy_id: i64,
    cycle: i32,
    list: &'a str,
    item: &'a str,
    recipient: &'a str,
    seq: i32,
    status: i16,
    attempt: u8,
    expires_at: Option<i64>,
    revision: i64,
    kind: &'static str,
    medium: Option<&'static str>,
    purpose: Option<&'static str>,
    target: &'a str,
    brand: &'a str,
    variant: Option<&'a str>,
    consent: Option<&'a str>,
    body_hash: Option<&'a str>,
    links: Option<String>,
    reason: Option<&'static str>,
    cost: Option<i64>,
    charged: Option<String>,
}

#[derive(Serialize)]
struct ObservedRow<'a> {
    copy_id: i64,
    cycle: i32,
    list: &'a str,
    item: &'a str,
    recipient: &'a str,
    medium: &'static str,
}

#[derive(Serialize)]
struct CodeRow<'a> {
    hash: &'a str,
    copy_id: i64,
    seq: i32,
    link: usize,
}

/// An effect on its way into the ledger.
struct Entry<'a> {
    copy: CopyId,
    change: &'a Change,
    new: &'a NewEffect,
    kind: &'static str,
    status: EffectStatus,
    held: bool,
}

impl<'a> Entry<'a> {
    fn reference(&self) -> EffectRef {
        EffectRef { copy: self.copy, seq: self.new.effect.seq }
    }

    fn row(&self) -> Result<EffectRow<'a>> {
        let (new, key) = (self.new, &self.new.effect.key);
        let mut row = EffectRow {
            copy_id: self.copy.0,
            cycle: key.cycle,
            list: &key.list,
            item: &key.item,
            recipient: &key.recipient.0,
            seq: new.effect.seq,
            status: self.status.code(),
            attempt: u8::from(self.status == EffectStatus::Intended),
            expires_at: new.expires_at.map(Timestamp::as_millisecond),
            revision: new.revision,
            kind: self.kind,
            medium: None,
            purpose: None,
            target: &new.target,
            brand: &new.brand,
            variant: None,
            consent: None,
            body_hash: new.body_hash.as_deref(),
            links: if new.links.is_empty() { None } else { Some(to_json(&new.links)?) },
            reason: None,
            cost: None,
            charged: None,
        };
        match &new.effect.kind {
            EffectKind::Message { medium, purpose, variant, consent, expires_at, .. } => {
                row.medium = Some(medium.as_str());
                row.purpose = Some(purpose_text(*purpose));
                row.variant = variant.as_deref();
                row.consent = consent.as_deref();
                row.cost = new.charge.as_ref().map(|charge| charge.cost);
                row.charged = new.charge.as_ref().map(Charge::words);
                row.expires_at = row.expires_at.or(Some(expires_at.as_millisecond()));
            }
            EffectKind::Skip { reason } => row.reason = Some(reason.as_str()),
            _ => {}
        }
        Ok(row)
    }

    /// Rows that something is still to be done about.
    fn outbox(&self, lease: &Lease, now: Timestamp, expires_at: Option<i64>) -> Option<OutboxRow> {
        let epoch = match self.status {
            EffectStatus::Intended => Some(lease.epoch),
            EffectStatus::Planned => None,
            _ => return None,
        };
        Some(OutboxRow {
            copy_id: self.copy.0,
            seq: self.new.effect.seq,
            due_at: self.new.not_before.map_or(now.as_millisecond(), up_to_ms),
            epoch,
            expires_at,
            kind: self.kind.to_owned(),
            target: self.new.target.clone(),
            payload: self.new.payload.clone().filter(|_| self.status != EffectStatus::Intended || self.new.resend),
            resend: u8::from(self.new.resend),
        })
    }
}

async fn write_effects(
    tx: &mut Session,
    lease: &Lease,
    placed: &[Placed],
    mut recipients: Locked,
    now: Timestamp,
    outcome: &mut Commit,
) -> Result<()> {
    let any_message = placed.iter().any(|p| p.change.effects.iter().any(is_message));
    let holds = if any_message { funnel::holds(tx).await? } else { Vec::new() };
    let (mut entries, mut observed) = (Vec::new(), Vec::new());
    for Placed { copy, change } in placed {
        for new in &change.effects {
            let key = &new.effect.key;
            if let EffectKind::Observed { medium } = &new.effect.kind {
                observed.push(ObservedRow {
                    copy_id: copy.0,
                    cycle: key.cycle,
                    list: &key.list,
                    item: &key.item,
                    recipient: &key.recipient.0,
                    medium: medium.as_str(),
                });
            }
            let Some(kind) = kind_word(&new.effect.kind) else { continue };
            let held = is_message(new) && new.status == EffectStatus::Intended && is_held(&holds, &change.copy.funnel, &new.target);
            let status = if held { EffectStatus::Planned } else { new.status };
            entries.push(Entry { copy: *copy, change, new, kind, status, held });
        }
    }
    if !observed.is_empty() {
        tx.run(sql!("effect/observed"), args![json_rows(&observed)?, now]).await?;
    }
    if entries.is_empty() {
        return Ok(());
    }
    let rows: Vec<EffectRow> = entries.iter().map(Entry::row).collect::<Result<_>>()?;
    let mut written = HashSet::new();
    for mut c in tx.rows(sql!("effect/insert"), args![json_rows(&rows)?, now]).await? {
        written.insert(EffectRef { copy: CopyId(c.int()?), seq: c.small()? });
    }
    let leaving = |e: &&Entry| e.status == EffectStatus::Intended && is_message(e.new) && written.contains(&e.reference());
    count_intents(tx, entries.iter().filter(leaving).count()).await?;
    let (mut outbox, mut codes, mut spent) = (Vec::new(), Vec::new(), BTreeMap::new());
    for (entry, row) in entries.iter().zip(&rows) {
        let effect = entry.reference();
        if !written.contains(&effect) {
            outcome.conflicts.push(effect);
            continue;
        }
        if entry.held {
            outcome.held.push(effect);
        }
        for (period, _) in entry.new.charge.iter().flat_map(Charge::periods) {
            *spent.entry(period).or_insert(0) += entry.new.charge.as_ref().map_or(0, |charge| charge.cost);
        }
        outbox.extend(entry.outbox(lease, now, row.expires_at));
        codes.extend(entry.new.codes.iter().enumerate().map(|(link, hash)| CodeRow {
            hash,
            copy_id: effect.copy.0,
            seq: effect.seq,
            link,
        }));
        if let EffectKind::Message { medium, purpose, .. } = &entry.new.effect.kind
            && let Some(recent) = recipients.get_mut(&entry.new.effect.key.recipient)
        {
            let key = &entry.new.effect.key;
            recent.push(Recent {
                at: now,
                medium: *medium,
                purpose: *purpose,
                item: item_name(&entry.change.copy.funnel.namespace, &key.list, &key.item),
                copy: entry.copy,
                policy: Some(entry.new.policy.clone()).filter(|p| !p.is_empty()),
                address: key.recipient.clone(),
            });
        }
    }
    if !outbox.is_empty() {
        tx.run(sql!("outbox/insert"), args![json_rows(&outbox)?]).await?;
    }
    if !codes.is_empty() {
        let until = now.saturating_add(CODE_LIFE).unwrap_or(now);
        tx.run(sql!("effect/codes"), args![json_rows(&codes)?, until]).await?;
    }
    budget::add(tx, &spent).await?;
    recipient::store(tx, recipients, now).await
}
