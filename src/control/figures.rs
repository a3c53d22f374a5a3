//! Counts for statuses, asked of the store no oftener than they are cheap.

use crate::{
    engine::day_start,
    model::{EffectStatus, FunnelKey},
    store::{ChannelCounts, Cursor, FunnelCounts, Hold, PeriodSpent, Store, StoreError, this_month},
    workers::{Plans, backfill_since},
};
use jiff::{SignedDuration, Timestamp};
use std::{collections::BTreeMap, time::Duration};
use tokio::time::Instant;

/// One funnel in figures.
#[derive(Clone, Debug, Default)]
pub(super) struct FunnelFigures {
    /// Of the last 30 days, where a period matters.
    pub month: FunnelCounts,
    /// Of the last 24 hours.
    pub day: FunnelCounts,
    /// Old losses that backfill will still admit.
    pub waiting_backfill: u64,
}

/// Everything that statuses say beside configuration.
#[derive(Clone, Debug, Default)]
pub(super) struct Figures {
    pub funnels: BTreeMap<FunnelKey, FunnelFigures>,
    pub channels: BTreeMap<String, ChannelCounts>,
    pub messages: BTreeMap<String, Vec<(EffectStatus, u64)>>,
    pub cursors: BTreeMap<String, Cursor>,
    pub holds: Vec<Hold>,
    /// Messages of today, in the day of each policy, by its key.
    pub today: BTreeMap<String, u64>,
    /// What policies spent this month, and in the one before while some zone still has it.
    pub spent: Vec<PeriodSpent>,
}

/// Asks, and remembers when to ask again.
pub(super) struct Counter {
    next: Instant,
}

impl Counter {
    const EVERY: Duration = Duration::from_secs(5);
    /// Counting takes at most one part in that many of the store's time.
    const SHARE: u32 = 20;

    pub fn new() -> Self {
        Self { next: Instant::now() }
    }

    /// New figures, if it is time. A store that cannot be asked leaves the old ones.
    pub async fn count(
        &mut self,
        store: &Store,
        plans: &Plans,
        funnels: &[FunnelKey],
        now: Timestamp,
    ) -> Option<Result<Figures, StoreError>> {
        let started = Instant::now();
        if started < self.next {
            return None;
        }
        let figures = gather(store, plans, funnels, now).await;
        self.next = Instant::now() + (started.elapsed() * Self::SHARE).max(Self::EVERY);
        Some(figures)
    }
}

async fn gather(store: &Store, plans: &Plans, funnels: &[FunnelKey], now: Timestamp) -> Result<Figures, StoreError> {
    let views = &store.views;
    let mut figures = Figures::default();
    let (day, month) = (now - SignedDuration::from_hours(24), now - SignedDuration::from_hours(24 * 30));
    for funnel in funnels {
        let one = FunnelFigures {
            month: views.counts(funnel, Some(month), now).await?,
            day: views.counts(funnel, Some(day), now).await?,
            waiting_backfill: match plans.get(funnel).and_then(|live| live.plan.backfill.as_ref()) {
                Some(backfill) => views.waiting_backfill(funnel, backfill_since(backfill, now)).await?,
                None => 0,
            },
        };
        figures.funnels.insert(funnel.clone(), one);
    }
    figures.channels = views.channels().await?.into_iter().map(|c| (c.channel.clone(), c)).collect();
    for (channel, status, n) in views.messages_by_channel(day).await? {
        figures.messages.entry(channel).or_default().push((status, n));
    }
    figures.today = today(store, plans, now).await?;
    figures.cursors = views.cursors().await?.into_iter().collect();
    figures.spent = views.spent_since(&this_month(now)).await?;
    figures.holds = store.journal.holds().await?;
    Ok(figures)
}

/// What the funnels of each policy sent since its midnight.
async fn today(store: &Store, plans: &Plans, now: Timestamp) -> Result<BTreeMap<String, u64>, StoreError> {
    let mut days: BTreeMap<Timestamp, BTreeMap<&FunnelKey, &str>> = BTreeMap::new();
    for (funnel, live) in &plans.0 {
        let policy = &live.plan.policy;
        days.entry(day_start(&policy.time_zone, now)).or_default().insert(funnel, &policy.key);
    }
    let mut today = BTreeMap::new();
    for (midnight, policies) in days {
        for (funnel, status, n) in store.views.messages_by_funnel(midnight).await? {
            if let Some(policy) = policies.get(&funnel) {
                *today.entry((*policy).to_owned()).or_default() += fates([(status.as_str(), n)].into_iter()).0;
            }
        }
    }
    Ok(today)
}

/// Sums (medium, status) rows by what became of the messages: sent, failed, ambiguous.
pub(super) fn fates<'a>(rows: impl Iterator<Item = (&'a str, u64)>) -> (u64, u64, u64) {
    let (mut sent, mut failed, mut ambiguous) = (0, 0, 0);
    for (status, n) in rows {
        match status {
            "accepted" | "delivered" => sent += n,
            "failed" | "expired" => failed += n,
            "unknown" => ambiguous += n,
            _ => {}
        }
    }
    (sent, failed, ambiguous)
}
