//! One transaction of the engine.

use super::{Cycle, Data, Entry, Line, Open, Result, StoredCopy, ms, trim, up};
use crate::engine::{Copy, CycleChange, EffectKind, History, Recent};
use crate::model::{AddressHash, ClientId, CopyId, EffectRef, EffectStatus, Purpose, Role, shard_of};
use crate::store::outcome::Receipt;
use crate::store::rules::{AddressHasher, is_held, item_name, kind_word};
use crate::store::{Batch, Change, Charge, Commit, Lease, NewEffect, PutOff, StoreError, at_once};
use jiff::Timestamp;
use std::collections::{BTreeSet, HashMap, HashSet};

impl Data {
    pub(super) fn commit(&mut self, hasher: &AddressHasher, lease: &Lease, batch: Batch) -> Result<Commit> {
        let now = ms(batch.now.unwrap_or(Timestamp::UNIX_EPOCH));
        let arriving: HashSet<(&str, &str)> =
            batch.page.iter().flat_map(|p| p.deals.iter().map(|(d, _)| (p.connection.as_str(), d.id.as_str()))).collect();
        let known = |c: &Change| {
            arriving.contains(&(c.connection.as_str(), c.deal.as_str()))
                || self.deals.contains_key(&(c.connection.clone(), c.deal.clone()))
        };
        if batch.changes.iter().any(|c| c.copy.id.0 == 0 && !known(c)) {
            return Err(StoreError::Corrupt { what: "a copy was decided on for a deal that is not stored".into(), source: None });
        }
        // Decided before the database was found to be an earlier copy.
        if batch.changes.iter().any(|c| c.copy.id.0 != 0 && i64::from(c.copy.next_seq) < self.first_seq) {
            return Err(StoreError::LeaseLost);
        }
        if let Some(page) = batch.page {
            self.take_over(hasher, page, now);
        }
        self.suppress(batch.suppress);
        for id in batch.consumed {
            self.inbox.remove(&id);
        }
        for PutOff { id, until, event } in batch.put_off {
            if let Some(arrived) = self.inbox.get_mut(&id) {
                (arrived.ready_at, arrived.event, arrived.attempts) = (up(until), event, 0);
            }
        }
        let mut outcome = Commit::default();
        for (copy, change) in self.place(batch.changes, &mut outcome) {
            self.write_history(copy, &change, now);
            self.write_cycle(copy, &change);
            self.write_effects(lease, copy, &change, now, &mut outcome);
        }
        Ok(outcome)
    }

    /// Changes that must be decided again, by their place in the batch.
    fn refused(&self, changes: &[Change], outcome: &mut Commit) -> HashSet<usize> {
        let mut refused = HashSet::new();
        let mut spent = self.spent.clone();
        let mut advertised: HashMap<&AddressHash, CopyId> = HashMap::new();
        for (n, change) in changes.iter().enumerate() {
            let newest = self.funnels.get(&change.copy.funnel).and_then(|f| f.revisions.last());
            for new in &change.effects {
                let EffectKind::Message { medium, purpose, .. } = new.effect.kind else { continue };
                let recipient = &new.effect.key.recipient;
                let outdated = newest.is_some_and(|r| r.deleted || new.revision < r.number);
                let shared =
                    purpose == Purpose::Advertising && *advertised.entry(recipient).or_insert(change.copy.id) != change.copy.id;
                if outdated {
                    outcome.outdated.insert(change.copy.funnel.clone());
                }
                if outdated || shared || self.forbidden(change.copy.id, recipient, &new.brand, medium, purpose) {
                    refused.insert(n);
                }
            }
            let costs: Vec<&Charge> = change.effects.iter().filter_map(|new| new.charge.as_ref()).collect();
            if refused.contains(&n) || costs.is_empty() {
                continue;
            }
            if costs.iter().any(|charge| !charge.fits(&spent)) {
                refused.insert(n);
                continue;
            }
            for charge in costs {
                for (period, _) in charge.periods() {
                    *spent.entry(period).or_default() += charge.cost;
                }
            }
        }
        refused
    }

    /// Writes the copies; returns the changes that hold.
    fn place(&mut self, changes: Vec<Change>, outcome: &mut Commit) -> Vec<(CopyId, Change)> {
        let refused = self.refused(&changes, outcome);
        let mut stale: BTreeSet<CopyId> =
            changes.iter().enumerate().filter(|(n, c)| refused.contains(n) && c.copy.id.0 != 0).map(|(_, c)| c.copy.id).collect();
        for change in changes.iter().filter(|c| c.copy.id.0 != 0) {
            if self.copies.get(&change.copy.id).is_none_or(|there| there.copy.ver != change.copy.ver) {
                stale.insert(change.copy.id);
            }
        }
        let mut ids = Vec::with_capacity(changes.len());
        for (n, change) in changes.iter().enumerate() {
            if change.copy.id.0 != 0 {
                ids.push(change.copy.id);
                continue;
            }
            let name = (change.connection.clone(), change.deal.clone());
            let id = match self.copies_of_deal.get(&name).and_then(|f| f.get(&change.copy.funnel)) {
                _ if refused.contains(&n) => CopyId(0),
                // Made by this very batch: only the second change is dropped.
                Some(id) if ids.contains(id) => CopyId(0),
                Some(id) => {
                    stale.insert(*id);
                    *id
                }
                None => {
                    self.last_copy += 1;
                    let id = CopyId(self.last_copy);
                    self.funnels.entry(change.copy.funnel.clone()).or_default();
                    self.copies_of_deal.entry(name).or_default().insert(change.copy.funnel.clone(), id);
                    self.put(id, change);
                    id
                }
            };
            ids.push(id);
            outcome.created.push(id);
        }
        let mut placed = Vec::new();
        for (change, id) in changes.into_iter().zip(ids) {
            if id.0 == 0 || stale.contains(&id) {
                continue;
            }
            if change.copy.id.0 != 0 {
                self.put(id, &change);
            }
            placed.push((id, change));
        }
        outcome.stale.extend(stale);
        placed
    }

    fn put(&mut self, id: CopyId, change: &Change) {
        let before = self.copies.remove(&id);
        let name = (change.connection.clone(), change.deal.clone());
        let client = before.as_ref().map_or_else(|| ClientId(self.deals.get(&name).map_or(0, |d| d.client)), |b| b.copy.client);
        if let Some(due_at) = before.as_ref().and_then(|b| b.copy.next_at) {
            self.due.remove(&(due_at, id));
        }
        let next_at = change.copy.next_at.map(up);
        if let Some(due_at) = next_at {
            self.due.insert((due_at, id));
        }
        let shard = before.as_ref().map_or_else(|| shard_of(client), |b| b.copy.shard);
        let copy = Copy { id, client, shard, ver: change.copy.ver + 1, next_at, ..change.copy.clone() };
        let (connection, deal) = before.map_or(name, |b| (b.connection, b.deal));
        let lost_at = self.deals.get(&(connection.clone(), deal.clone())).and_then(|d| d.deal.stage_changed_at);
        let backfill_at = (change.copy.role == Role::Backfill).then(|| lost_at.map_or(-1, Timestamp::as_millisecond));
        self.copies_of_client.entry(client.0).or_default().insert(id);
        self.copies.insert(id, StoredCopy { copy, connection, deal, backfill_at });
    }

    fn write_history(&mut self, id: CopyId, change: &Change, now: Timestamp) {
        let ver = change.copy.ver + 1;
        let mut n = self.history.range((id, ver, 0)..=(id, ver, usize::MAX)).count();
        let copy = &change.copy;
        let mut push = |what: Option<History>, stage: Option<(Role, String)>| {
            let stage = stage.map(|(role, title)| (role, title, copy.amount));
            self.history.insert((id, ver, n), Line { at: now, what, stage });
            n += 1;
        };
        if copy.id.0 == 0 && !change.history.iter().any(|h| matches!(h, History::Stage { .. })) {
            push(None, Some((copy.role, copy.stage.clone())));
        }
        for line in &change.history {
            let stage = match line {
                History::Stage { to, stage, .. } => Some((*to, stage.clone())),
                _ => None,
            };
            push(Some(line.clone()), stage);
        }
    }

    fn write_cycle(&mut self, id: CopyId, change: &Change) {
        for what in &change.cycle {
            match *what {
                CycleChange::Begin { cycle, at, holdout } => {
                    for (_, open) in self.cycles.range_mut((id, i32::MIN)..(id, cycle)).filter(|(_, c)| c.ended_at.is_none()) {
                        open.ended_at = Some(ms(at));
                        open.how = "Replaced";
                    }
                    let role = change.copy.role;
                    let new = Cycle { began_at: ms(at), contacted_at: None, ended_at: None, holdout, role, how: "" };
                    self.cycles.entry((id, cycle)).or_insert(new);
                }
                CycleChange::HeldOut { cycle } => {
                    if let Some(cycle) = self.cycles.get_mut(&(id, cycle)) {
                        cycle.holdout = true;
                    }
                }
                CycleChange::Contacted { cycle, at } => {
                    if let Some(cycle) = self.cycles.get_mut(&(id, cycle)) {
                        cycle.contacted_at.get_or_insert(ms(at));
                        if change.copy.role == Role::Warming {
                            cycle.role = Role::Warming;
                        }
                    }
                }
                CycleChange::Resume { cycle } => {
                    if let Some(cycle) = self.cycles.get_mut(&(id, cycle)) {
                        cycle.ended_at = None;
                        cycle.how = "";
                    }
                }
                CycleChange::End { cycle, how, at } => {
                    if let Some(cycle) = self.cycles.get_mut(&(id, cycle)).filter(|c| c.ended_at.is_none()) {
                        cycle.ended_at = Some(ms(at));
                        cycle.how = how.as_str();
                    }
                }
            }
        }
    }

    fn write_effects(&mut self, lease: &Lease, id: CopyId, change: &Change, now: Timestamp, outcome: &mut Commit) {
        for new in &change.effects {
            let key = &new.effect.key;
            if let EffectKind::Observed { medium } = new.effect.kind {
                self.observed.entry((id, key.clone())).or_insert((now, medium));
            }
            let Some(kind) = kind_word(&new.effect.kind) else { continue };
            let effect = EffectRef { copy: id, seq: new.effect.seq };
            if !self.natural.insert((id, key.clone())) {
                outcome.conflicts.push(effect);
                continue;
            }
            let message = kind == "message";
            let held = message && new.status == EffectStatus::Intended && is_held(&self.holds, &change.copy.funnel, &new.target);
            if held {
                outcome.held.push(effect);
            }
            let status = if held { EffectStatus::Planned } else { new.status };
            self.intents += i64::from(message && status == EffectStatus::Intended);
            let entry = entry(new, kind, status, now);
            for (period, _) in entry.charge.iter().flat_map(Charge::periods) {
                *self.spent.entry(period).or_default() += entry.charge.as_ref().map_or(0, |charge| charge.cost);
            }
            let epoch = match status {
                EffectStatus::Intended => Some(Some(lease.epoch)),
                EffectStatus::Planned => Some(None),
                _ => None,
            };
            if let Some(epoch) = epoch {
                let due_at = new.not_before.map_or_else(|| at_once(message, now), up);
                let due_at = if message { due_at } else { self.in_turn(effect, due_at) };
                let payload = new.payload.clone().filter(|_| status != EffectStatus::Intended || new.resend);
                let (target, expires_at) = (new.target.clone(), entry.expires_at);
                self.outbox.insert(effect, Open { kind, target, due_at, epoch, expires_at, payload, resend: new.resend });
            }
            for (link, code) in (0_i16..).zip(&new.codes) {
                self.codes.entry(code.clone()).or_insert((effect, link));
            }
            if let EffectKind::Message { medium, purpose, .. } = new.effect.kind {
                let item = item_name(&change.copy.funnel.namespace, &key.list, &key.item);
                let recent = self.recent.entry(key.recipient.clone()).or_default();
                let policy = Some(new.policy.clone()).filter(|p| !p.is_empty());
                recent.push(Recent { at: now, medium, purpose, item, copy: id, policy, address: key.recipient.clone() });
                trim(recent, now);
            }
            self.effects.insert(effect, entry);
        }
    }
}

fn entry(new: &NewEffect, kind: &'static str, status: EffectStatus, now: Timestamp) -> Entry {
    let mut entry = Entry {
        key: new.effect.key.clone(),
        kind,
        status,
        attempt: i32::from(status == EffectStatus::Intended),
        receipt: Receipt::None,
        at: now,
        expires_at: new.expires_at.map(ms),
        clicked_at: None,
        medium: None,
        purpose: None,
        target: new.target.clone(),
        brand: new.brand.clone(),
        variant: None,
        links: new.links.clone(),
        reason: None,
        resends: 0,
        charge: new.charge.clone().filter(|_| kind == "message"),
    };
    match &new.effect.kind {
        EffectKind::Message { medium, purpose, variant, expires_at, .. } => {
            (entry.medium, entry.purpose, entry.variant) = (Some(*medium), Some(*purpose), variant.clone());
            entry.expires_at = entry.expires_at.or(Some(ms(*expires_at)));
        }
        EffectKind::Skip { reason } => entry.reason = Some(reason.as_str().into()),
        _ => {}
    }
    entry
}
