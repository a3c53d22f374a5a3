//! Read-only answers for people.

use super::dialect::sql;
use super::funnel;
use super::session::{Cells, Session, args};
use super::suppress::ref_rows;
use super::{Result, SqlStore};
use crate::engine::History;
use crate::model::{CopyId, EffectRef, EffectStatus, FunnelKey, Money, Role};
use crate::store::timeline::{FORMER_OPT_OUT, Hit, Sent, history_text, hit_text, sent_text};
use crate::store::{
    Ambiguous, ChannelCounts, Cursor, DeadLetter, FunnelCounts, PeriodSpent, StageCount, StoreError, TimelineEntry, Unclear,
    VariantCount, Views,
};
use jiff::Timestamp;
use std::collections::BTreeMap;

/// A sum of amounts, told in billions and the rest.
fn sum(c: &mut Cells) -> Result<Money> {
    let (billions, rest) = (c.int()?, c.int()?);
    Ok(Money(billions.saturating_mul(1_000_000_000).saturating_add(rest)))
}

fn stage_count(mut c: Cells) -> Result<StageCount> {
    Ok(StageCount { role: c.word(Role::parse)?, stage: c.text()?, deals: c.count()?, amount: sum(&mut c)? })
}

/// So many copies are counted at once.
const COUNTED: u32 = 50_000;

/// Stages of a funnel, and what messages in them wait for.
async fn stages_and_waits(counts: &mut FunnelCounts, session: &mut Session, funnel: i64) -> Result<()> {
    let mut stages: BTreeMap<(&'static str, String), StageCount> = BTreeMap::new();
    let mut waits: BTreeMap<String, u64> = BTreeMap::new();
    let mut after = i64::MIN;
    loop {
        let mut met = 0;
        for mut c in session.rows(sql!("views/stages"), args![funnel, after, COUNTED]).await? {
            let (role, stage, reason) = (c.word(Role::parse)?, c.text()?, c.opt_text()?);
            let (deals, amount) = (c.count()?, sum(&mut c)?);
            after = after.max(c.int()?);
            met += deals;
            if let Some(reason) = reason {
                *waits.entry(reason).or_default() += deals;
            }
            let none = StageCount { role, stage: stage.clone(), deals: 0, amount: Money(0) };
            let count = stages.entry((role.as_str(), stage)).or_insert(none);
            count.deals += deals;
            count.amount = count.amount.plus(amount);
        }
        if met < u64::from(COUNTED) {
            break;
        }
    }
    counts.stages = stages.into_values().collect();
    counts.postponed = waits.into_iter().collect();
    Ok(())
}

#[async_trait::async_trait]
impl Views for SqlStore {
    async fn funnels(&self) -> Result<Vec<FunnelKey>> {
        let rows = self.database.report().await?.rows(sql!("funnel/list"), args![]).await?;
        rows.into_iter().map(|mut c| Ok(FunnelKey { namespace: c.text()?, name: c.text()? })).collect()
    }

    async fn counts(&self, funnel: &FunnelKey, since: Option<Timestamp>, now: Timestamp) -> Result<FunnelCounts> {
        let mut session = self.database.report().await?;
        let mut counts = FunnelCounts::default();
        let Some(id) = funnel::find(&mut session, funnel).await? else { return Ok(counts) };
        let since = since.map_or(i64::MIN / 2, Timestamp::as_millisecond);
        stages_and_waits(&mut counts, &mut session, id).await?;
        for mut c in session.rows(sql!("views/cycles"), args![id, since]).await? {
            (counts.contacted, counts.revived, counts.organic, counts.assisted) = (c.count()?, c.count()?, c.count()?, c.count()?);
            (counts.holdout, counts.holdout_revived, counts.unsubscribed) = (c.count()?, c.count()?, c.count()?);
            (counts.treated, counts.treated_revived) = (c.count()?, c.count()?);
        }
        for mut c in session.rows(sql!("views/due"), args![id, now]).await? {
            (counts.due, counts.oldest_due) = (c.count()?, c.opt_time()?);
        }
        let mut messages: BTreeMap<(String, String), u64> = BTreeMap::new();
        let mut skipped: BTreeMap<String, u64> = BTreeMap::new();
        let mut writebacks: BTreeMap<(String, String), u64> = BTreeMap::new();
        for mut c in session.rows(sql!("views/effects"), args![id, since]).await? {
            let (kind, medium) = (c.text()?, c.opt_text()?.unwrap_or_default());
            let status = EffectStatus::from_code(c.small()?).unwrap_or(EffectStatus::Unknown).as_str().to_owned();
            let (reason, n) = (c.opt_text()?.unwrap_or_default(), c.count()?);
            match kind.as_str() {
                "message" => *messages.entry((medium, status)).or_default() += n,
                "skip" => *skipped.entry(reason).or_default() += n,
                _ => *writebacks.entry((kind, status)).or_default() += n,
            }
        }
        counts.messages = messages.into_iter().map(|((medium, status), n)| (medium, status, n)).collect();
        counts.skipped = skipped.into_iter().collect();
        counts.writebacks = writebacks.into_iter().map(|((kind, status), n)| (kind, status, n)).collect();
        for mut c in session.rows(sql!("views/clicks"), args![id, since]).await? {
            (counts.clicks_human, counts.clicks_machine) = (c.count()?, c.count()?);
        }
        for mut c in session.rows(sql!("views/reactions"), args![id, since]).await? {
            counts.reactions.add(c.opt_int()?, c.count()?);
        }
        session.commit().await?;
        Ok(counts)
    }

    async fn variants(&self, funnel: &FunnelKey, since: Timestamp) -> Result<Vec<VariantCount>> {
        let mut session = self.database.report().await?;
        let Some(id) = funnel::find(&mut session, funnel).await? else { return Ok(Vec::new()) };
        let rows = session.rows(sql!("views/variants"), args![id, since]).await?;
        session.commit().await?;
        let row = |mut c: Cells| {
            let (list, item, variant) = (c.text()?, c.text()?, c.text()?);
            let (sent, clicked, revived) = (c.count()?, c.count()?, c.count()?);
            Ok(VariantCount { list, item, variant, sent, clicked, revived })
        };
        let mut variants = rows.into_iter().map(row).collect::<Result<Vec<_>>>()?;
        // Here and not there, because each database has its own order of texts.
        variants.sort_unstable();
        Ok(variants)
    }

    async fn waiting_backfill(&self, funnel: &FunnelKey, lost_since: Timestamp) -> Result<u64> {
        let mut session = self.database.report().await?;
        let Some(id) = funnel::find(&mut session, funnel).await? else { return Ok(0) };
        let rows = session.rows(sql!("views/waiting"), args![id, lost_since]).await?;
        session.commit().await?;
        rows.into_iter().next().map_or(Ok(0), |mut c| c.count())
    }

    async fn channels(&self) -> Result<Vec<ChannelCounts>> {
        let mut session = self.database.report().await?;
        let mut channels: BTreeMap<String, ChannelCounts> = BTreeMap::new();
        let empty = |channel: &str| ChannelCounts { channel: channel.to_owned(), waiting: 0, ambiguous: 0, resent: 0 };
        for mut c in session.rows(sql!("views/channels_waiting"), args![]).await? {
            let name = c.text()?;
            channels.entry(name.clone()).or_insert_with(|| empty(&name)).waiting = c.count()?;
        }
        for mut c in session.rows(sql!("views/channels_unknown"), args![]).await? {
            let name = c.text()?;
            let counts = channels.entry(name.clone()).or_insert_with(|| empty(&name));
            (counts.ambiguous, counts.resent) = (c.count()?, c.count()?);
        }
        session.commit().await?;
        Ok(channels.into_values().collect())
    }

    async fn messages_by_channel(&self, since: Timestamp) -> Result<Vec<(String, EffectStatus, u64)>> {
        let rows = self.database.report().await?.rows(sql!("views/channels_messages"), args![since]).await?;
        rows.into_iter()
            .map(|mut c| {
                let channel = c.text()?;
                let status = EffectStatus::from_code(c.small()?).unwrap_or(EffectStatus::Unknown);
                Ok((channel, status, c.count()?))
            })
            .collect()
    }

    async fn messages_by_funnel(&self, since: Timestamp) -> Result<Vec<(FunnelKey, EffectStatus, u64)>> {
        let rows = self.database.report().await?.rows(sql!("views/funnels_messages"), args![since]).await?;
        rows.into_iter()
            .map(|mut c| {
                let funnel = FunnelKey { namespace: c.text()?, name: c.text()? };
                let status = EffectStatus::from_code(c.small()?).unwrap_or(EffectStatus::Unknown);
                Ok((funnel, status, c.count()?))
            })
            .collect()
    }

    async fn past_revivals(&self, funnel: &FunnelKey) -> Result<u64> {
        let mut session = self.database.report().await?;
        let Some(id) = funnel::find(&mut session, funnel).await? else { return Ok(0) };
        let rows = session.rows(sql!("views/past_revivals"), args![id]).await?;
        session.commit().await?;
        rows.into_iter().next().map_or(Ok(0), |mut c| c.count())
    }

    async fn spent_since(&self, period: &str) -> Result<Vec<PeriodSpent>> {
        super::budget::since(&self.database, period).await
    }

    async fn cursors(&self) -> Result<Vec<(String, Cursor)>> {
        let rows = self.database.report().await?.rows(sql!("crm/cursors"), args![]).await?;
        rows.into_iter().map(|mut c| Ok((c.text()?, c.json()?))).collect()
    }

    async fn timeline(&self, funnel: &FunnelKey, deal: &str) -> Result<Vec<TimelineEntry>> {
        let mut session = self.database.report().await?;
        let mut entries = Vec::new();
        for mut c in session.rows(sql!("views/copy_of_deal"), args![&funnel.namespace, &funnel.name, deal]).await? {
            let copy = c.int()?;
            for mut c in session.rows(sql!("views/history"), args![copy]).await? {
                let (at, kind, body) = (c.time()?, c.text()?, c.text()?);
                if let Ok(line) = serde_json::from_str::<History>(&body) {
                    entries.push(TimelineEntry { at, kind, text: history_text(&line), effect: None });
                }
            }
            for mut c in session.rows(sql!("views/ledger"), args![copy]).await? {
                let effect = EffectRef { copy: CopyId(copy), seq: c.small()? };
                let (at, kind) = (c.time()?, c.text()?);
                let sent = Sent {
                    kind,
                    status: EffectStatus::from_code(c.small()?).unwrap_or(EffectStatus::Unknown),
                    list: c.text()?,
                    item: c.text()?,
                    medium: c.opt_text()?,
                    target: c.text()?,
                    variant: c.opt_text()?,
                    reason: c.opt_text()?,
                    resends: c.small()?,
                };
                let (kind, text) = sent_text(&sent);
                entries.push(TimelineEntry { at, kind: kind.into(), text, effect: Some(effect) });
            }
            for mut c in session.rows(sql!("views/former_opt_outs"), args![copy]).await? {
                entries.push(TimelineEntry { at: c.time()?, kind: "note".into(), text: FORMER_OPT_OUT.into(), effect: None });
            }
            for mut c in session.rows(sql!("views/observed"), args![copy]).await? {
                let (at, list, item, medium) = (c.time()?, c.text()?, c.text()?, c.text()?);
                let text = format!("observed: {list}/{item} by {medium} would have been sent");
                entries.push(TimelineEntry { at, kind: "message".into(), text, effect: None });
            }
            for mut c in session.rows(sql!("views/hits"), args![copy]).await? {
                let effect = EffectRef { copy: CopyId(copy), seq: c.small()? };
                let hit = Hit { link: c.small()?, at: c.time()?, verdict: c.opt_text()?, why: c.text()? };
                entries.push(TimelineEntry { at: hit.at, kind: "click".into(), text: hit_text(&hit), effect: Some(effect) });
            }
        }
        session.commit().await?;
        entries.sort_by_key(|e| e.at);
        Ok(entries)
    }

    async fn dead_letters(&self, limit: u32) -> Result<Vec<DeadLetter>> {
        let rows = self.database.report().await?.rows(sql!("views/dead_letters"), args![limit]).await?;
        rows.into_iter().map(|mut c| Ok(DeadLetter { id: c.int()?, source: c.text()?, error: c.text()?, at: c.time()? })).collect()
    }

    async fn unclear(&self, which: &Unclear, limit: u32) -> Result<Vec<Ambiguous>> {
        let mut session = self.database.report().await?;
        let channel = which.channel.as_deref().unwrap_or_default();
        let (at, effect) = which.after.unwrap_or((Timestamp::UNIX_EPOCH, EffectRef { copy: CopyId(0), seq: 0 }));
        let rows = if which.named.is_empty() {
            session.rows(sql!("views/ambiguous"), args![limit, channel, at, effect.copy.0, effect.seq]).await?
        } else {
            session.rows(sql!("views/ambiguous_named"), args![ref_rows(&which.named)?, channel]).await?
        };
        session.commit().await?;
        let row = |mut c: Cells| {
            Ok(Ambiguous {
                effect: EffectRef { copy: CopyId(c.int()?), seq: c.small()? },
                funnel: FunnelKey { namespace: c.text()?, name: c.text()? },
                deal: c.text()?,
                list: c.text()?,
                item: c.text()?,
                channel: c.text()?,
                since: c.time()?,
                reason: c.opt_text()?.unwrap_or_default(),
                text_kept: c.flag()?,
            })
        };
        rows.into_iter().map(row).collect()
    }

    async fn stages_at(&self, funnel: &FunnelKey, moments: &[Timestamp]) -> Result<Vec<Vec<StageCount>>> {
        let mut session = self.database.report().await?;
        let Some(id) = funnel::find(&mut session, funnel).await? else { return Ok(vec![Vec::new(); moments.len()]) };
        let mut out = Vec::with_capacity(moments.len());
        for moment in moments {
            let rows = session.rows(sql!("views/stages_at"), args![id, *moment]).await?;
            out.push(rows.into_iter().map(stage_count).collect::<Result<_>>()?);
        }
        Ok(out)
    }

    async fn ping(&self) -> Result<()> {
        let answer = async { self.database.read().await?.rows(sql!("installation/ping"), args![]).await.map(|_| ()) };
        match tokio::time::timeout(std::time::Duration::from_secs(2), answer).await {
            Ok(answer) => answer,
            Err(slow) => Err(StoreError::Unavailable(Box::new(slow))),
        }
    }
}
