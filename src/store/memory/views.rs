//! Read-only answers for people.

use super::{Data, Entry, MemoryStore, Result, StoredCopy};
use crate::engine::History;
use crate::model::{
    AddressHash, ClickVerdict, CopyId, EffectRef, EffectStatus, FunnelKey, Medium, Money, Role, Suppression, SuppressionReason,
    SuppressionScope,
};
use crate::store::timeline::{FORMER_OPT_OUT, Hit, Sent, history_text, hit_text, sent_text};
use crate::store::{
    Ambiguous, ChannelCounts, Cursor, DeadLetter, FunnelCounts, PeriodSpent, StageCount, TimelineEntry, Unclear, VariantCount,
    Views,
};
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet, HashSet};

/// Sums by the words of the roles, as SQL sorts them.
#[derive(Default)]
struct Stages(BTreeMap<(&'static str, String), StageCount>);

impl Stages {
    fn add(&mut self, role: Role, stage: &str, amount: Money) {
        let empty = || StageCount { role, stage: stage.to_owned(), deals: 0, amount: Money(0) };
        let count = self.0.entry((role.as_str(), stage.to_owned())).or_insert_with(empty);
        count.deals += 1;
        count.amount = count.amount.plus(amount);
    }

    fn counts(self) -> Vec<StageCount> {
        self.0.into_values().collect()
    }
}

impl Data {
    fn of_funnel(&self, funnel: &FunnelKey) -> HashSet<CopyId> {
        self.copies.iter().filter(|(_, c)| c.copy.funnel == *funnel).map(|(id, _)| *id).collect()
    }

    /// Opt-outs of those whom a deal wrote to before it got another client.
    fn former_opt_outs(&self, copy: CopyId) -> Vec<Timestamp> {
        let (first, last) = (EffectRef { copy, seq: i32::MIN }, EffectRef { copy, seq: i32::MAX });
        let client = self.root_of_copy(copy);
        let messages = self.effects.range(first..=last).filter(|(_, e)| e.kind == "message");
        let former = messages.filter(|(effect, _)| self.root_of_effect(**effect) != client);
        let whose: BTreeSet<(&AddressHash, &str)> = former.map(|(_, e)| (&e.key.recipient, e.brand.as_str())).collect();
        let theirs = |s: &&Suppression| match &s.scope {
            SuppressionScope::Address(hash) => {
                s.reason == SuppressionReason::Unsubscribed && whose.contains(&(hash, s.brand.as_deref().unwrap_or_default()))
            }
            SuppressionScope::Client(_) => false,
        };
        self.suppressions.iter().filter(theirs).map(|s| s.at).collect()
    }

    fn story(&self, copy: CopyId) -> Vec<TimelineEntry> {
        let mut entries = Vec::new();
        for (_, line) in self.history.range((copy, i64::MIN, 0)..=(copy, i64::MAX, usize::MAX)) {
            let Some(history) = &line.what else { continue };
            let kind = match history {
                History::Stage { .. } => "stage",
                History::List { .. } => "list",
                History::Postponed { .. } => "postponed",
                History::Signal { .. } => "signal",
                History::Reaction { .. } => "reaction",
                History::Unanswered { .. } => "unanswered",
                History::Note { .. } => "note",
            };
            entries.push(TimelineEntry { at: line.at, kind: kind.into(), text: history_text(history), effect: None });
        }
        let (first, last) = (EffectRef { copy, seq: i32::MIN }, EffectRef { copy, seq: i32::MAX });
        for (effect, e) in self.effects.range(first..=last) {
            let sent = Sent {
                kind: e.kind.into(),
                status: e.status,
                list: e.key.list.clone(),
                item: e.key.item.clone(),
                medium: e.medium.map(|m| m.as_str().into()),
                target: e.target.clone(),
                variant: e.variant.clone(),
                reason: e.reason.clone(),
                resends: e.resends,
            };
            let (kind, text) = sent_text(&sent);
            entries.push(TimelineEntry { at: e.at, kind: kind.into(), text, effect: Some(*effect) });
        }
        for at in self.former_opt_outs(copy) {
            entries.push(TimelineEntry { at, kind: "note".into(), text: FORMER_OPT_OUT.into(), effect: None });
        }
        let mut observed: Vec<_> = self.observed.iter().filter(|((id, _), _)| *id == copy).collect();
        observed.sort_by_key(|(_, (at, _))| *at);
        for ((_, key), (at, medium)) in observed {
            let text = format!("observed: {}/{} by {} would have been sent", key.list, key.item, medium.as_str());
            entries.push(TimelineEntry { at: *at, kind: "message".into(), text, effect: None });
        }
        for ((effect, at, link), (verdict, why)) in self.clicks.iter().filter(|((e, _, _), _)| e.copy == copy) {
            let hit = Hit { link: *link, at: *at, verdict: verdict.map(|v| v.as_str().into()), why: why.clone() };
            entries.push(TimelineEntry { at: *at, kind: "click".into(), text: hit_text(&hit), effect: Some(*effect) });
        }
        entries
    }

    fn counts(&self, funnel: &FunnelKey, since: Option<Timestamp>, now: Timestamp) -> FunnelCounts {
        let since = since.unwrap_or(Timestamp::MIN);
        let theirs = self.of_funnel(funnel);
        let mut counts = FunnelCounts::default();
        let mut stages = Stages::default();
        let mut postponed: BTreeMap<String, u64> = BTreeMap::new();
        for stored in self.copies.values().filter(|c| c.copy.funnel == *funnel) {
            stages.add(stored.copy.role, &stored.copy.stage, stored.copy.amount);
            if let Some(why) = stored.copy.state.waiting {
                *postponed.entry(why.as_str().to_owned()).or_default() += 1;
            }
            if let Some(due) = stored.copy.next_at.filter(|due| *due <= now) {
                counts.due += 1;
                counts.oldest_due = Some(counts.oldest_due.map_or(due, |oldest| oldest.min(due)));
            }
        }
        counts.stages = stages.counts();
        counts.postponed = postponed.into_iter().collect();
        for cycle in self.cycles.iter().filter(|((id, _), _)| theirs.contains(id)).map(|(_, c)| c) {
            let lately = |at: Option<Timestamp>| at.is_some_and(|at| at >= since);
            let ended = lately(cycle.ended_at);
            let contacted = cycle.role == Role::Warming && cycle.contacted_at.is_some() && !cycle.holdout;
            counts.contacted += u64::from(contacted && (lately(cycle.contacted_at) || ended));
            counts.revived += u64::from(contacted && ended && cycle.how == "Revived");
            counts.organic += u64::from(!cycle.holdout && ended && cycle.how == "Organic");
            counts.assisted += u64::from(!cycle.holdout && ended && cycle.how == "Assisted");
            counts.holdout += u64::from(cycle.holdout && (cycle.began_at >= since || ended));
            counts.holdout_revived += u64::from(cycle.holdout && ended && matches!(cycle.how, "Revived" | "Organic"));
            counts.treated += u64::from(!cycle.holdout && (cycle.began_at >= since || ended));
            counts.treated_revived += u64::from(!cycle.holdout && ended && matches!(cycle.how, "Revived" | "Organic"));
            counts.unsubscribed += u64::from(ended && cycle.how == "Unsubscribed");
        }
        let mut messages: BTreeMap<(String, String), u64> = BTreeMap::new();
        let mut skipped: BTreeMap<String, u64> = BTreeMap::new();
        let mut writebacks: BTreeMap<(String, String), u64> = BTreeMap::new();
        for e in self.effects.iter().filter(|(e, row)| theirs.contains(&e.copy) && row.at >= since).map(|(_, row)| row) {
            let status = e.status.as_str().to_owned();
            match e.kind {
                "message" => *messages.entry((e.medium.map_or("", Medium::as_str).into(), status)).or_default() += 1,
                "skip" => *skipped.entry(e.reason.clone().unwrap_or_default()).or_default() += 1,
                kind => *writebacks.entry((kind.to_owned(), status)).or_default() += 1,
            }
        }
        counts.messages = messages.into_iter().map(|((medium, status), n)| (medium, status, n)).collect();
        counts.skipped = skipped.into_iter().collect();
        counts.writebacks = writebacks.into_iter().map(|((kind, status), n)| (kind, status, n)).collect();
        for (_, line) in self.history.iter().filter(|((copy, _, _), line)| theirs.contains(copy) && line.at >= since) {
            match line.what {
                Some(History::Reaction { seconds }) => counts.reactions.add(Some(seconds), 1),
                Some(History::Unanswered { .. }) => counts.reactions.add(None, 1),
                _ => {}
            }
        }
        for ((_, at, _), (verdict, _)) in self.clicks.iter().filter(|((e, _, _), _)| theirs.contains(&e.copy)) {
            if *at >= since {
                counts.clicks_human += u64::from(*verdict == Some(ClickVerdict::Human));
                counts.clicks_machine += u64::from(*verdict == Some(ClickVerdict::Machine));
            }
        }
        counts
    }
}

#[async_trait::async_trait]
impl Views for MemoryStore {
    async fn funnels(&self) -> Result<Vec<FunnelKey>> {
        Ok(self.data().funnels.keys().cloned().collect())
    }

    async fn counts(&self, funnel: &FunnelKey, since: Option<Timestamp>, now: Timestamp) -> Result<FunnelCounts> {
        Ok(self.data().counts(funnel, since, now))
    }

    async fn variants(&self, funnel: &FunnelKey, since: Timestamp) -> Result<Vec<VariantCount>> {
        let data = self.data();
        let mut counts: BTreeMap<(&str, &str, &str), (u64, u64, u64)> = BTreeMap::new();
        for (effect, e) in data.effects.iter().filter(|(_, e)| e.kind == "message" && e.status.sent() && e.at >= since) {
            let theirs = data.copies.get(&effect.copy).is_some_and(|stored| stored.copy.funnel == *funnel);
            let Some(variant) = e.variant.as_deref().filter(|_| theirs) else { continue };
            let cycle = data.cycles.get(&(effect.copy, e.key.cycle));
            let (sent, clicked, revived) = counts.entry((&e.key.list, &e.key.item, variant)).or_default();
            *sent += 1;
            *clicked += u64::from(e.clicked_at.is_some());
            *revived += u64::from(cycle.is_some_and(|cycle| cycle.how == "Revived"));
        }
        let count = |((list, item, variant), (sent, clicked, revived)): ((&str, &str, &str), _)| VariantCount {
            list: list.to_owned(),
            item: item.to_owned(),
            variant: variant.to_owned(),
            sent,
            clicked,
            revived,
        };
        Ok(counts.into_iter().map(count).collect())
    }

    async fn waiting_backfill(&self, funnel: &FunnelKey, lost_since: Timestamp) -> Result<u64> {
        let (data, since) = (self.data(), lost_since.as_millisecond());
        let waits = |c: &&StoredCopy| c.copy.funnel == *funnel && c.backfill_at.is_some_and(|at| at >= since);
        Ok(data.copies.values().filter(waits).count() as u64)
    }

    async fn channels(&self) -> Result<Vec<ChannelCounts>> {
        let data = self.data();
        let mut channels: BTreeMap<String, ChannelCounts> = BTreeMap::new();
        let empty = |channel: &str| ChannelCounts { channel: channel.to_owned(), waiting: 0, ambiguous: 0, resent: 0 };
        for open in data.outbox.values().filter(|o| o.kind == "message" && !o.parked()) {
            channels.entry(open.target.clone()).or_insert_with(|| empty(&open.target)).waiting += 1;
        }
        let told = |e: &&Entry| e.kind == "message" && (e.status == EffectStatus::Unknown || e.resends > 0);
        for e in data.effects.values().filter(told) {
            let counts = channels.entry(e.target.clone()).or_insert_with(|| empty(&e.target));
            counts.ambiguous += u64::from(e.status == EffectStatus::Unknown);
            counts.resent += u64::try_from(e.resends).unwrap_or(0);
        }
        Ok(channels.into_values().collect())
    }

    async fn messages_by_channel(&self, since: Timestamp) -> Result<Vec<(String, EffectStatus, u64)>> {
        let data = self.data();
        let mut counts: BTreeMap<(String, u8), (EffectStatus, u64)> = BTreeMap::new();
        for e in data.effects.values().filter(|e| e.kind == "message" && e.at >= since) {
            counts.entry((e.target.clone(), e.status as u8)).or_insert((e.status, 0)).1 += 1;
        }
        Ok(counts.into_iter().map(|((channel, _), (status, n))| (channel, status, n)).collect())
    }

    async fn messages_by_funnel(&self, since: Timestamp) -> Result<Vec<(FunnelKey, EffectStatus, u64)>> {
        let data = self.data();
        let mut counts: BTreeMap<(FunnelKey, u8), (EffectStatus, u64)> = BTreeMap::new();
        for (effect, e) in data.effects.iter().filter(|(_, e)| e.kind == "message" && e.at >= since) {
            let Some(stored) = data.copies.get(&effect.copy) else { continue };
            counts.entry((stored.copy.funnel.clone(), e.status as u8)).or_insert((e.status, 0)).1 += 1;
        }
        Ok(counts.into_iter().map(|((funnel, _), (status, n))| (funnel, status, n)).collect())
    }

    async fn past_revivals(&self, funnel: &FunnelKey) -> Result<u64> {
        let data = self.data();
        let past = |((id, number), cycle): &(&(CopyId, i32), &super::Cycle)| {
            let copy = data.copies.get(id).map(|stored| &stored.copy).filter(|copy| copy.funnel == *funnel);
            let stands = |copy: &crate::engine::Copy| copy.role == Role::Revived && copy.cycle == *number;
            matches!(cycle.how, "Revived" | "Organic") && copy.is_some_and(|copy| !stands(copy))
        };
        Ok(data.cycles.iter().filter(past).count() as u64)
    }

    async fn spent_since(&self, period: &str) -> Result<Vec<PeriodSpent>> {
        let data = self.data();
        let rows = data.spent.iter().filter(|(p, _)| p.period.as_str() >= period);
        Ok(rows.map(|(period, spent)| PeriodSpent { period: period.clone(), spent: *spent }).collect())
    }

    async fn cursors(&self) -> Result<Vec<(String, Cursor)>> {
        Ok(self.data().cursors.iter().map(|(name, cursor)| (name.clone(), cursor.clone())).collect())
    }

    async fn timeline(&self, funnel: &FunnelKey, deal: &str) -> Result<Vec<TimelineEntry>> {
        let data = self.data();
        let theirs = data.copies.iter().filter(|(_, c)| c.copy.funnel == *funnel && c.deal == deal);
        let mut entries: Vec<TimelineEntry> = theirs.flat_map(|(id, _)| data.story(*id)).collect();
        entries.sort_by_key(|e| e.at);
        Ok(entries)
    }

    async fn dead_letters(&self, limit: u32) -> Result<Vec<DeadLetter>> {
        Ok(self.data().dead.iter().rev().take(limit as usize).cloned().collect())
    }

    async fn unclear(&self, which: &Unclear, limit: u32) -> Result<Vec<Ambiguous>> {
        let data = self.data();
        let mut unknown: Vec<Ambiguous> = data
            .effects
            .iter()
            .filter(|(_, e)| e.kind == "message" && e.status == EffectStatus::Unknown)
            .filter(|(_, e)| which.channel.as_ref().is_none_or(|channel| *channel == e.target))
            .filter(|(effect, _)| which.named.is_empty() || which.named.contains(effect))
            .filter(|(effect, e)| which.after.is_none_or(|after| (e.at, **effect) > after))
            .filter_map(|(effect, e)| {
                let copy = data.copies.get(&effect.copy)?;
                Some(Ambiguous {
                    effect: *effect,
                    funnel: copy.copy.funnel.clone(),
                    deal: copy.deal.clone(),
                    list: e.key.list.clone(),
                    item: e.key.item.clone(),
                    channel: e.target.clone(),
                    since: e.at,
                    reason: e.reason.clone().unwrap_or_default(),
                    text_kept: data.outbox.get(effect).is_some_and(|o| o.payload.is_some()),
                })
            })
            .collect();
        unknown.sort_unstable_by_key(|a| (a.since, a.effect));
        if which.named.is_empty() {
            unknown.truncate(limit as usize);
        }
        Ok(unknown)
    }

    async fn stages_at(&self, funnel: &FunnelKey, moments: &[Timestamp]) -> Result<Vec<Vec<StageCount>>> {
        let data = self.data();
        let theirs = data.of_funnel(funnel);
        let at = |moment: &Timestamp| {
            let mut newest: BTreeMap<CopyId, &(Role, String, Money)> = BTreeMap::new();
            for ((copy, _, _), line) in data.history.iter().filter(|((copy, _, _), l)| theirs.contains(copy) && l.at <= *moment) {
                if let Some(stage) = &line.stage {
                    newest.insert(*copy, stage);
                }
            }
            let mut stages = Stages::default();
            for (role, stage, amount) in newest.into_values() {
                stages.add(*role, stage, *amount);
            }
            stages.counts()
        };
        Ok(moments.iter().map(at).collect())
    }

    async fn ping(&self) -> Result<()> {
        Ok(())
    }
}
