//! Read-only answers for people: status, timeline, reports. Short reads, so that they never pin SQLite's log.

use super::{Cursor, Pace, PeriodSpent, StoreError};
use crate::model::{EffectRef, EffectStatus, FunnelKey, Money, Role};
use jiff::Timestamp;
use serde::Serialize;

/// Copies and their money in one stage.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StageCount {
    pub role: Role,
    pub stage: String,
    pub deals: u64,
    pub amount: Money,
}

/// What `status` says of a funnel.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FunnelCounts {
    pub stages: Vec<StageCount>,
    /// Warming cycles that were contacted for the first time, or ended after they had been, in the period; and how many ended then in a
    /// revival within `attribution`. Everything is counted by when it happened: a cycle may be as long as its list.
    pub contacted: u64,
    pub revived: u64,
    pub organic: u64,
    pub assisted: u64,
    pub holdout: u64,
    pub holdout_revived: u64,
    /// All who were not held out, contacted or not, and how many of them came back, whatever brought them: counted as the holdout is,
    /// for [`crate::engine::uplift()`].
    pub treated: u64,
    pub treated_revived: u64,
    pub unsubscribed: u64,
    /// Copies whose moment has come, and the oldest of those moments.
    pub due: u64,
    pub oldest_due: Option<Timestamp>,
    /// Deals whose next message waits although its own time has come, by [`crate::model::PostponeReason`].
    pub postponed: Vec<(String, u64)>,
    /// Ledger rows by (medium, status), e.g. ("Sms", "delivered").
    pub messages: Vec<(String, String, u64)>,
    /// Skips by reason.
    pub skipped: Vec<(String, u64)>,
    pub clicks_human: u64,
    pub clicks_machine: u64,
    /// How fast managers reacted to interest.
    pub reactions: ReactionCounts,
    /// Tasks, comments, notifications, moves by (kind, status).
    pub writebacks: Vec<(String, String, u64)>,
}

/// Speed to lead, in working time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ReactionCounts {
    #[serde(rename = "in5m")]
    pub in_5m: u64,
    /// Not in 5 minutes, but in 30; and so on.
    #[serde(rename = "in30m")]
    pub in_30m: u64,
    #[serde(rename = "in24h")]
    pub in_24h: u64,
    pub later: u64,
    /// How often somebody above was told that nobody reacts.
    pub escalated: u64,
}

impl ReactionCounts {
    pub(super) const fn add(&mut self, seconds: Option<i64>, times: u64) {
        match seconds {
            None => self.escalated += times,
            Some(seconds) => match Pace::of(seconds) {
                Pace::In5m => self.in_5m += times,
                Pace::In30m => self.in_30m += times,
                Pace::In24h => self.in_24h += times,
                Pace::Later => self.later += times,
            },
        }
    }
}

/// What came of one variant of an item.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VariantCount {
    pub list: String,
    pub item: String,
    pub variant: String,
    /// Accepted or delivered.
    pub sent: u64,
    /// By people.
    pub clicked: u64,
    /// In a passage that ended as a revival.
    pub revived: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ChannelCounts {
    pub channel: String,
    pub waiting: u64,
    pub ambiguous: u64,
    /// How often messages were sent again although nobody could say whether they had been accepted.
    pub resent: u64,
}

/// A message of which nobody can say whether it was accepted. Ids only.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Ambiguous {
    pub effect: EffectRef,
    pub funnel: FunnelKey,
    pub deal: String,
    pub list: String,
    pub item: String,
    pub channel: String,
    pub since: Timestamp,
    pub reason: String,
    /// Whether it can be sent again: the store still has its text.
    pub text_kept: bool,
}

/// Which of the messages that nobody can tell about are asked for.
#[derive(Clone, Debug, Default)]
pub struct Unclear {
    /// Those of this channel, by its full name.
    pub channel: Option<String>,
    /// These and no others; empty: all.
    pub named: Vec<EffectRef>,
    /// Those behind the last one of a page.
    pub after: Option<(Timestamp, EffectRef)>,
}

/// One line of a deal's story, oldest first. Carries no addresses.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TimelineEntry {
    pub at: Timestamp,
    /// `stage`, `list`, `message`, `skip`, `click`, `signal`, `writeback`, `postponed`, `note`.
    pub kind: String,
    pub text: String,
    pub effect: Option<EffectRef>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DeadLetter {
    pub id: i64,
    pub source: String,
    pub error: String,
    pub at: Timestamp,
}

/// The read side.
#[async_trait::async_trait]
pub trait Views: Send + Sync {
    async fn funnels(&self) -> Result<Vec<FunnelKey>, StoreError>;
    /// Counts of one funnel; messages, clicks and cycles since `since` (`None`: ever).
    async fn counts(&self, funnel: &FunnelKey, since: Option<Timestamp>, now: Timestamp) -> Result<FunnelCounts, StoreError>;
    /// Of each variant of a funnel's items what was sent since `since`, and what came of that, by list, item and variant.
    async fn variants(&self, funnel: &FunnelKey, since: Timestamp) -> Result<Vec<VariantCount>, StoreError>;
    /// Copies of a funnel that wait for `backfill` and were lost at `lost_since` or later: those who can still be admitted.
    async fn waiting_backfill(&self, funnel: &FunnelKey, lost_since: Timestamp) -> Result<u64, StoreError>;
    async fn channels(&self) -> Result<Vec<ChannelCounts>, StoreError>;
    /// Messages since `since` by (channel, status), whatever funnel they belong to.
    async fn messages_by_channel(&self, since: Timestamp) -> Result<Vec<(String, EffectStatus, u64)>, StoreError>;
    /// Messages since `since` by (funnel, status), whatever channel they went through.
    async fn messages_by_funnel(&self, since: Timestamp) -> Result<Vec<(FunnelKey, EffectStatus, u64)>, StoreError>;
    /// How often clients of a funnel came back, but for those whose deal still stands in Revived because of it.
    async fn past_revivals(&self, funnel: &FunnelKey) -> Result<u64, StoreError>;
    /// What policies spent, by periods not before this one (`2026-03`: that month and its days, and all later ones).
    async fn spent_since(&self, period: &str) -> Result<Vec<PeriodSpent>, StoreError>;
    async fn cursors(&self) -> Result<Vec<(String, Cursor)>, StoreError>;
    async fn timeline(&self, funnel: &FunnelKey, deal: &str) -> Result<Vec<TimelineEntry>, StoreError>;
    async fn dead_letters(&self, limit: u32) -> Result<Vec<DeadLetter>, StoreError>;
    /// Messages nobody can tell about, oldest first.
    async fn ambiguous(&self, limit: u32) -> Result<Vec<Ambiguous>, StoreError> {
        self.unclear(&Unclear::default(), limit).await
    }
    /// Some of them. Those that are named come all, whatever the limit.
    async fn unclear(&self, which: &Unclear, limit: u32) -> Result<Vec<Ambiguous>, StoreError>;
    /// Stage sizes over time: at each of `moments`, copies and money by role, replayed from history.
    async fn stages_at(&self, funnel: &FunnelKey, moments: &[Timestamp]) -> Result<Vec<Vec<StageCount>>, StoreError>;
    /// Answers or fails quickly: for /readyz.
    async fn ping(&self) -> Result<(), StoreError>;
}
