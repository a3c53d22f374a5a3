//! What is to be done, and what became of it.

use super::Result;
use super::budget;
use super::dialect::sql;
use super::history;
use super::lease::fence;
use super::open::Database;
use super::recipient::{self, Refund};
use super::session::{Session, args, json_rows};
use super::suppress::{self, ref_rows};
use crate::model::{
    AddressHash, CopyId, EffectKey, EffectRef, EffectStatus, FunnelKey, Outcome, Suppression, SuppressionReason, SuppressionScope,
};
use crate::store::money::charged;
use crate::store::outcome::{Receipt, Standing, Work, of_channel, resolution, resolved_reason};
use crate::store::rules::{NEVER_MS, NUMBERS_SKIPPED, fresh_numbers, item_name, up_to_ms};
use crate::store::{Lease, Mark, Outbox, Period, Resolution};
use jiff::Timestamp;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

pub(super) async fn due(
    database: &Database,
    busy: &[String],
    low: Option<Timestamp>,
    now: Timestamp,
    limit: u32,
) -> Result<Vec<Outbox>> {
    // Names of connections hold no spaces. (As rows of a batch they would come first in the plan, and the index of what is due after.)
    let busy = format!(" {} ", busy.join(" "));
    let rows = database
        .read()
        .await?
        .rows(sql!("outbox/due"), args![now, limit, busy, low.map_or(i64::MIN, Timestamp::as_millisecond)])
        .await?;
    rows.into_iter()
        .map(|mut c| {
            Ok(Outbox {
                effect: EffectRef { copy: CopyId(c.int()?), seq: c.small()? },
                key: EffectKey { cycle: c.small()?, list: c.text()?, item: c.text()?, recipient: AddressHash(c.text()?) },
                funnel: FunnelKey { namespace: c.text()?, name: c.text()? },
                kind: c.text()?,
                target: c.text()?,
                payload: c.text()?,
                attempt: c.small()?,
                expires_at: c.opt_time()?,
                connection: c.text()?,
                deal: c.text()?,
                due_at: c.time()?,
            })
        })
        .collect()
}

pub(super) async fn start(database: &Database, lease: &Lease, effects: &[EffectRef]) -> Result<Vec<EffectRef>> {
    let mut tx = database.write().await?;
    fence(&mut tx, lease).await?;
    let rows = tx.rows(sql!("outbox/start"), args![ref_rows(effects)?, lease.epoch]).await?;
    let mut started = BTreeSet::new();
    let mut messages = 0;
    for mut c in rows {
        started.insert(EffectRef { copy: CopyId(c.int()?), seq: c.small()? });
        messages += usize::from(c.text()? == "message");
    }
    count_intents(&mut tx, messages).await?;
    // In the order asked: within a deal it is the order in which things must happen.
    let started: Vec<EffectRef> = effects.iter().copied().filter(|e| started.contains(e)).collect();
    if !started.is_empty() {
        tx.run(sql!("outbox/started"), args![ref_rows(&started)?]).await?;
    }
    tx.commit().await?;
    Ok(started)
}

/// An effect while facts are merged into it.
struct State {
    kind: String,
    recipient: AddressHash,
    item: String,
    target: String,
    expires_at: Option<i64>,
    /// What it cost, and the periods that counted it.
    cost: i64,
    charged: Vec<Period>,
    /// Where it stood before.
    was: EffectStatus,
    standing: Standing,
}

#[derive(Serialize)]
struct StateRow {
    copy_id: i64,
    seq: i32,
    status: i16,
    receipt: u8,
    at: i64,
    reason: Option<String>,
    provider: Option<String>,
    provider_id: Option<String>,
    resends: i32,
}

#[derive(Serialize)]
pub(super) struct OutboxRow {
    pub copy_id: i64,
    pub seq: i32,
    pub due_at: i64,
    pub epoch: Option<i64>,
    pub expires_at: Option<i64>,
    pub kind: String,
    pub target: String,
    pub payload: Option<String>,
    pub resend: u8,
}

#[derive(Serialize)]
struct ProviderRef<'a> {
    provider: &'a str,
    id: &'a str,
    copy_id: i64,
    seq: i32,
}

pub(super) async fn mark(database: &Database, marks: Vec<Mark>) -> Result<()> {
    if marks.is_empty() {
        return Ok(());
    }
    let mut tx = database.write().await?;
    mark_in(&mut tx, marks).await?;
    tx.commit().await
}

/// Numbers of hand-overs: a witness outside the database knows how far they may have come.
pub(super) async fn count_intents(tx: &mut Session, messages: usize) -> Result<()> {
    if messages > 0 {
        tx.run(sql!("counter/reserve"), args!["intent", i64::try_from(messages).unwrap_or(i64::MAX)]).await?;
    }
    Ok(())
}

pub(super) async fn intents(database: &Database) -> Result<i64> {
    let rows = database.read().await?.rows(sql!("counter/value"), args!["intent"]).await?;
    rows.into_iter().next().map_or(Ok(0), |mut c| c.int())
}

pub(super) async fn raise_intents(database: &Database, lease: &Lease, to: i64, now: Timestamp) -> Result<()> {
    let mut tx = database.write().await?;
    fence(&mut tx, lease).await?;
    tx.run(sql!("counter/raise"), args!["intent", to]).await?;
    for (name, from) in fresh_numbers(now) {
        tx.run(sql!("counter/skip"), args![name, from, NUMBERS_SKIPPED]).await?;
    }
    tx.commit().await
}

/// A person's word about messages that nobody could tell about.
pub(super) async fn resolve(database: &Database, effects: &[EffectRef], how: Resolution, now: Timestamp) -> Result<Vec<EffectRef>> {
    let mut tx = database.write().await?;
    let refs = ref_rows(effects)?;
    tx.run(sql!("outbox/lock"), args![&refs]).await?;
    let mut marks = Vec::new();
    for mut c in tx.rows(sql!("outbox/unclear"), args![refs]).await? {
        let (effect, attempt) = (EffectRef { copy: CopyId(c.int()?), seq: c.small()? }, c.small()?);
        if how != Resolution::Resend || c.flag()? {
            marks.push(resolution(effect, attempt, how, now));
        }
    }
    let resolved: Vec<EffectRef> = marks.iter().map(|m| m.effect).collect();
    if !resolved.is_empty() {
        mark_in(&mut tx, marks).await?;
        let again = i64::from(how == Resolution::Resend);
        tx.run(sql!("outbox/resolved"), args![ref_rows(&resolved)?, resolved_reason(how), again]).await?;
    }
    tx.commit().await?;
    Ok(resolved)
}

/// Merges facts into the ledger, whoever owns the lease by now.
pub(super) async fn mark_in(tx: &mut Session, mut marks: Vec<Mark>) -> Result<()> {
    let early = put_provider_refs(tx, &marks).await?;
    marks.extend(early);
    let effects: BTreeSet<EffectRef> = marks.iter().map(|m| m.effect).collect();
    let effects: Vec<EffectRef> = effects.into_iter().collect();
    let mut states = load_states(tx, &effects).await?;
    for mark in marks {
        if let Some(state) = states.get_mut(&mark.effect) {
            state.standing.merge(mark);
        }
    }
    store_states(tx, states).await
}

/// Remembers the providers' own ids. Returns the receipts that came before them.
async fn put_provider_refs(tx: &mut Session, marks: &[Mark]) -> Result<Vec<Mark>> {
    let mut rows: BTreeMap<(&str, &str), EffectRef> = BTreeMap::new();
    for mark in marks {
        if let Outcome::Accepted { provider, provider_id: Some(id) } = &mark.outcome {
            // The bare name: for the version before this one, which knows no other and may be rolled back to.
            let bare = of_channel(provider).map_or(provider.as_str(), |(_, name)| name);
            if bare != provider {
                rows.insert((provider, id), mark.effect);
            }
            rows.entry((bare, id)).or_insert(mark.effect);
        }
    }
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let rows: Vec<ProviderRef> =
        rows.into_iter().map(|((provider, id), e)| ProviderRef { provider, id, copy_id: e.copy.0, seq: e.seq }).collect();
    let mut early = Vec::new();
    for mut c in tx.rows(sql!("effect/provider_refs"), args![json_rows(&rows)?]).await? {
        let effect = EffectRef { copy: CopyId(c.int()?), seq: c.small()? };
        if let (Some(outcome), Some(at)) = (c.opt_json()?, c.opt_time()?) {
            early.push(Mark { effect, attempt: -1, outcome, at, next: None });
        }
    }
    Ok(early)
}

async fn load_states(tx: &mut Session, effects: &[EffectRef]) -> Result<BTreeMap<EffectRef, State>> {
    let refs = ref_rows(effects)?;
    tx.rows(sql!("outbox/lock"), args![&refs]).await?;
    let mut found = BTreeMap::new();
    for mut c in tx.rows(sql!("effect/state"), args![&refs]).await? {
        let effect = EffectRef { copy: CopyId(c.int()?), seq: c.small()? };
        let status = EffectStatus::from_code(c.small()?).unwrap_or(EffectStatus::Unknown);
        let attempt = c.small()?;
        let receipt = match c.int()? {
            1 => Receipt::Delivered,
            2 => Receipt::Bounced,
            _ => Receipt::None,
        };
        let (at, kind, recipient) = (c.time()?, c.text()?, AddressHash(c.text()?));
        let (list, item, namespace) = (c.text()?, c.text()?, c.text()?);
        let (item, target, expires_at) = (item_name(&namespace, &list, &item), c.text()?, c.opt_int()?);
        let mut standing = Standing::new(status, attempt, receipt, at, c.opt_text()?.is_some());
        (standing.resend, standing.resends) = (c.opt_int()? == Some(1), c.small()?);
        let (cost, charged) = (c.opt_int()?.unwrap_or(0), c.opt_text()?.as_deref().map(charged).unwrap_or_default());
        let state = State { kind, recipient, item, target, expires_at, cost, charged, was: status, standing };
        found.insert(effect, state);
    }
    Ok(found)
}

async fn store_states(tx: &mut Session, states: BTreeMap<EffectRef, State>) -> Result<()> {
    let (mut rows, mut finished, mut again) = (Vec::new(), Vec::new(), Vec::new());
    let (mut refunds, mut suppressions, mut given_back) = (Vec::new(), Vec::new(), BTreeMap::new());
    let mut turned = Vec::new();
    for (effect, state) in states {
        if state.kind == "message" {
            if state.standing.status.refused() != state.was.refused() {
                turned.push(effect);
            }
            if state.standing.refund {
                for period in state.charged {
                    *given_back.entry(period).or_insert(0) -= state.cost;
                }
                refunds.push(Refund { hash: state.recipient.clone(), copy: effect.copy, item: state.item });
            }
            if let Some(at) = state.standing.bad_address {
                suppressions.push(Suppression {
                    scope: SuppressionScope::Address(state.recipient),
                    brand: None,
                    medium: None,
                    purpose: None,
                    reason: SuppressionReason::HardBounce,
                    at,
                });
            }
        }
        match state.standing.work {
            Work::Unchanged => {}
            Work::Done => finished.push(effect),
            Work::Again { at, payload } => again.push(OutboxRow {
                copy_id: effect.copy.0,
                seq: effect.seq,
                due_at: up_to_ms(at),
                epoch: None,
                expires_at: state.expires_at,
                kind: state.kind,
                target: state.target,
                payload,
                resend: u8::from(state.standing.resend),
            }),
            Work::Keep { payload } => again.push(OutboxRow {
                copy_id: effect.copy.0,
                seq: effect.seq,
                due_at: NEVER_MS,
                epoch: None,
                expires_at: state.expires_at,
                kind: state.kind,
                target: state.target,
                payload: Some(payload),
                resend: 0,
            }),
        }
        rows.push(StateRow {
            copy_id: effect.copy.0,
            seq: effect.seq,
            status: state.standing.status.code(),
            receipt: state.standing.receipt as u8,
            at: state.standing.at.as_millisecond(),
            reason: state.standing.reason,
            provider: state.standing.provider,
            provider_id: state.standing.provider_id,
            resends: state.standing.resends,
        });
    }
    if !rows.is_empty() {
        tx.run(sql!("effect/mark"), args![json_rows(&rows)?]).await?;
    }
    if !finished.is_empty() {
        tx.run(sql!("outbox/done"), args![ref_rows(&finished)?]).await?;
    }
    if !again.is_empty() {
        tx.run(sql!("outbox/insert"), args![json_rows(&again)?]).await?;
        if again.iter().any(|r| r.kind != "message") {
            again.retain(|r| r.kind != "message");
            tx.run(sql!("outbox/postpone"), args![json_rows(&again)?]).await?;
        }
    }
    budget::add(tx, &given_back).await?;
    recipient::refund(tx, refunds).await?;
    history::reached(tx, &turned).await?;
    suppress::put(tx, &suppressions).await
}
