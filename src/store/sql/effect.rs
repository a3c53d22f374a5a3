//! Effects on their way into the ledger, with what hangs on them: the outbox, short codes, money, what each address got.

use super::Result;
use super::budget;
use super::commit::{Placed, is_message};
use super::dialect::sql;
use super::funnel;
use super::outbox::{OutboxRow, count_intents};
use super::recipient::{self, Locked};
use super::session::{Session, args, json_rows, to_json};
use super::suppress::purpose_text;
use crate::engine::{EffectKind, Recent};
use crate::model::{CopyId, EffectRef, EffectStatus};
use crate::store::rules::{CODE_LIFE, is_held, item_name, kind_word, up_to_ms};
use crate::store::{Change, Charge, Commit, Lease, NewEffect, at_once};
use jiff::Timestamp;
use serde::Serialize;
use std::collections::{BTreeMap, HashSet};

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
            due_at: up_to_ms(self.new.not_before.unwrap_or_else(|| at_once(is_message(self.new), now))),
            epoch,
            expires_at,
            kind: self.kind.to_owned(),
            target: self.new.target.clone(),
            payload: self.new.payload.clone().filter(|_| self.status != EffectStatus::Intended || self.new.resend),
            resend: u8::from(self.new.resend),
        })
    }
}

pub(super) async fn write_effects(
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
