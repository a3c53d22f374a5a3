//! The ledger and the work that is left of it: what becomes of a row by what is told of its message.

use super::{Data, Named, Open, ProviderRef, ms, up};
use crate::engine::LedgerEntry;
use crate::model::{CopyId, EffectRef, EffectStatus, Outcome, Suppression, SuppressionReason, SuppressionScope};
use crate::store::outcome::{Standing, Work, of_channel};
use crate::store::rules::{NEVER_MS, is_held, item_name};
use crate::store::{Charge, Mark};
use jiff::Timestamp;
use std::collections::BTreeMap;

impl Data {
    /// A message that a person stopped by hand.
    pub(super) fn held(&self, effect: EffectRef, open: &Open) -> bool {
        open.kind == "message" && self.copies.get(&effect.copy).is_some_and(|c| is_held(&self.holds, &c.copy.funnel, &open.target))
    }

    /// A write-back behind one that is under way.
    pub(super) fn behind(&self, effect: EffectRef, open: &Open) -> bool {
        let first = EffectRef { copy: effect.copy, seq: i32::MIN };
        open.kind != "message" && self.outbox.range(first..effect).any(|(_, o)| o.kind != "message" && o.epoch.is_some())
    }

    /// When a write-back is due: not before those of its copy that come before it.
    pub(super) fn in_turn(&self, effect: EffectRef, due_at: Timestamp) -> Timestamp {
        let first = EffectRef { copy: effect.copy, seq: i32::MIN };
        let before = self.outbox.range(first..effect).filter(|(_, o)| o.kind != "message").map(|(_, o)| o.due_at);
        before.max().map_or(due_at, |before| before.max(due_at))
    }

    /// Whoever clicked has the message, whatever the provider said; its text is kept for nobody any more.
    pub(super) fn click(&mut self, effect: EffectRef, at: Timestamp, human: bool) {
        if self.outbox.get(&effect).is_some_and(Open::parked) {
            self.outbox.remove(&effect);
        }
        if let Some(entry) = self.effects.get_mut(&effect) {
            if human {
                entry.clicked_at.get_or_insert(at);
            }
            if entry.status == EffectStatus::Unknown {
                entry.status = EffectStatus::Accepted;
            }
        }
    }

    pub(super) fn mark(&mut self, mut marks: Vec<Mark>) {
        let early = self.put_provider_refs(&marks);
        marks.extend(early);
        for mark in marks {
            self.merge(mark);
        }
    }

    /// Remembers the providers' own ids. Returns the receipts that came before them.
    fn put_provider_refs(&mut self, marks: &[Mark]) -> Vec<Mark> {
        let mut rows: BTreeMap<Named, EffectRef> = BTreeMap::new();
        for mark in marks {
            if let Outcome::Accepted { provider, provider_id: Some(id) } = &mark.outcome {
                let bare = of_channel(provider).map_or(provider.as_str(), |(_, name)| name);
                if bare != provider {
                    rows.insert((provider.clone(), id.clone()), mark.effect);
                }
                rows.entry((bare.to_owned(), id.clone())).or_insert(mark.effect);
            }
        }
        let mut early = Vec::new();
        for (name, newest) in rows {
            // A gateway that counts anew gives a number again. A bare name stays whose it was first.
            let taken_over = of_channel(&name.0).is_some();
            let entry = self.provider_refs.entry(name).or_default();
            if taken_over && entry.effect.is_some_and(|before| before != newest) {
                *entry = ProviderRef::default();
            }
            let effect = *entry.effect.get_or_insert(newest);
            if let Some((outcome, at)) = &entry.early {
                early.push(Mark { effect, attempt: -1, outcome: outcome.clone(), at: *at, next: None });
            }
        }
        early
    }

    pub(super) fn merge(&mut self, mark: Mark) {
        let effect = mark.effect;
        let has_payload = self.outbox.get(&effect).is_some_and(|o| o.payload.is_some());
        let resend = self.outbox.get(&effect).is_some_and(|o| o.resend);
        let Some(entry) = self.effects.get_mut(&effect) else { return };
        let refused = entry.status.refused();
        let mut standing = Standing::new(entry.status, entry.attempt, entry.receipt, entry.at, has_payload);
        (standing.resend, standing.resends) = (resend, entry.resends);
        standing.merge(Mark { at: ms(mark.at), ..mark });
        entry.resends = standing.resends;
        (entry.status, entry.receipt, entry.at) = (standing.status, standing.receipt, standing.at);
        entry.reason = standing.reason.or(entry.reason.take());
        let (kind, target, expires_at, recipient) =
            (entry.kind, entry.target.clone(), entry.expires_at, entry.key.recipient.clone());
        let key = entry.key.clone();
        let charge = entry.charge.clone();
        match standing.work {
            Work::Unchanged => {}
            Work::Done => {
                self.outbox.remove(&effect);
            }
            Work::Keep { payload } => {
                let due_at = Timestamp::from_millisecond(NEVER_MS).unwrap_or(Timestamp::MAX);
                let kept = Open { kind, target, due_at, epoch: None, expires_at, payload: Some(payload), resend };
                self.outbox.insert(effect, kept);
            }
            Work::Again { at, payload } => {
                let due_at = if kind == "message" { up(at) } else { self.in_turn(effect, up(at)) };
                let old = self.outbox.remove(&effect).and_then(|o| o.payload);
                self.outbox
                    .insert(effect, Open { kind, target, due_at, epoch: None, expires_at, payload: payload.or(old), resend });
                if kind != "message" {
                    let after = EffectRef { copy: effect.copy, seq: effect.seq.saturating_add(1) };
                    let last = EffectRef { copy: effect.copy, seq: i32::MAX };
                    for (_, open) in self.outbox.range_mut(after..=last).filter(|(_, o)| o.kind != "message") {
                        open.due_at = open.due_at.max(due_at);
                    }
                }
            }
        }
        if kind != "message" {
            return;
        }
        if standing.status.refused() != refused {
            self.reached(effect.copy, key.cycle);
        }
        for (period, _) in charge.iter().filter(|_| standing.refund).flat_map(Charge::periods) {
            *self.spent.entry(period).or_default() -= charge.as_ref().map_or(0, |charge| charge.cost);
        }
        if standing.refund
            && let Some(copy) = self.copies.get(&effect.copy)
            && let Some(recent) = self.recent.get_mut(&recipient)
        {
            let item = item_name(&copy.copy.funnel.namespace, &key.list, &key.item);
            if let Some(at) = recent.iter().rposition(|r| r.copy == effect.copy && r.item == item) {
                recent.remove(at);
            }
        }
        if let Some(at) = standing.bad_address {
            self.suppress(vec![Suppression {
                scope: SuppressionScope::Address(recipient),
                brand: None,
                medium: None,
                purpose: None,
                reason: SuppressionReason::HardBounce,
                at,
            }]);
        }
    }

    /// A client was contacted in a cycle once a message was not refused.
    fn reached(&mut self, copy: CopyId, number: i32) {
        let (first, last) = (EffectRef { copy, seq: i32::MIN }, EffectRef { copy, seq: i32::MAX });
        let messages = self.effects.range(first..=last).map(|(_, e)| e).filter(|e| e.kind == "message" && e.key.cycle == number);
        let reached = messages.filter(|e| e.status.went_out()).map(|e| e.at).min();
        if let Some(cycle) = self.cycles.get_mut(&(copy, number)).filter(|c| c.contacted_at.is_some() || c.ended_at.is_none()) {
            cycle.contacted_at = reached.map(|first| cycle.contacted_at.unwrap_or(first));
        }
    }

    pub(super) fn ledger(&self, copy: CopyId) -> Vec<LedgerEntry> {
        let (first, last) = (EffectRef { copy, seq: i32::MIN }, EffectRef { copy, seq: i32::MAX });
        self.effects
            .range(first..=last)
            .map(|(effect, e)| LedgerEntry {
                key: e.key.clone(),
                seq: effect.seq,
                status: e.status,
                at: e.at,
                variant: e.variant.clone(),
                clicked_at: e.clicked_at,
                opened: e.clicked_at.is_some(),
                reason: e.reason.clone(),
            })
            .collect()
    }
}
