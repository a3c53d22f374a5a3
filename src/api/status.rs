//! What the operator reports. Bounded: counts and the first problems with their paths, never personal data.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// Status of a `CrmConnection`.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CrmConnectionStatus {
    /// The generation that these words are about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Ready: accepted and in force. Healthy: the CRM can be read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
    /// Last successful reading.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_read_at: Option<Time>,
    /// Deals seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deals: Option<i64>,
    /// Pipelines and their stages found, the first 50.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50))]
    pub pipelines: Vec<PipelineFound>,
    /// What is wrong with the spec, then the kinds of rows that could not be used; the first 20.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    pub problems: Vec<Problem>,
}

/// A pipeline as the CRM has it.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PipelineFound {
    /// Its title.
    #[schemars(length(max = 256))]
    pub title: String,
    /// Titles of its stages, the first 100.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100), inner(length(max = 256)))]
    pub stages: Vec<String>,
}

/// Status of a `MessageChannel`.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MessageChannelStatus {
    /// The generation that these words are about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Ready: accepted and in force. Healthy: its providers take messages.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
    /// Sms or Email.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16))]
    pub medium: Option<String>,
    /// Messages that providers took in the last 24 hours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent: Option<i64>,
    /// Messages of the last 24 hours that they refused for good, or that were no longer valid when they could have been handed over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<i64>,
    /// Messages of which nobody can say whether they were accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ambiguous: Option<i64>,
    /// Messages that wait for their next attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting: Option<i64>,
    /// What is wrong, the first 20.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    pub problems: Vec<Problem>,
}

/// Status of a `ContactPolicy`.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ContactPolicyStatus {
    /// The generation that these words are about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Ready: accepted and in force.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
    /// Messages sent today, in the policy's time zone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub messages_today: Option<i64>,
    /// Spent today and this month on messages, in the policy's time zone, by the prices of the channels, like "1204.60 RUB".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub spent_today: Option<String>,
    /// The same for this month.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub spent_this_month: Option<String>,
    /// What is wrong, the first 20.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    pub problems: Vec<Problem>,
}

/// Status of a `ContentList`.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ContentListStatus {
    /// The generation that these words are about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Ready: accepted and in force.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
    /// How many items.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub item_count: Option<i64>,
    /// Parts of the longest SMS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sms_parts: Option<i64>,
    /// How many funnels use it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used_by_count: Option<i64>,
    /// What is wrong, the first 20.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    pub problems: Vec<Problem>,
}

/// Status of a `ReactivationFunnel`.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReactivationFunnelStatus {
    /// The generation that these words are about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Ready: compiled and in force. Healthy, SourceReady, ContentValid, ChannelsReady: its parts. Suspended: nothing is sent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
    /// Number of the revision in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<i64>,
    /// Deals by role of their stage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub copies: Option<CopyCounts>,
    /// Each stage with its deals and their money, the first 50.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50))]
    pub stages: Vec<StageFigures>,
    /// Amount in stalled and warming stages, in whole units of the CRM's currency.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub at_risk: Option<String>,
    /// Revived of those contacted in the last 30 days, like 6.1%.
    #[serde(rename = "rate30d", default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16))]
    pub rate_30d: Option<String>,
    /// Of the last 30 days: deals contacted, revived among them, and others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_month: Option<MonthFigures>,
    /// Of the last 24 hours: what became of messages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_day: Option<DayFigures>,
    /// Deals whose moment has come and that were not looked at yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due: Option<i64>,
    /// The oldest of those moments; absent while nothing is late.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oldest_due_at: Option<Time>,
    /// Old losses that backfill will still admit: zero once it is through.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting_backfill: Option<i64>,
    /// Deals whose next message waits now although its own time has come, by reason.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["reason".into()]))]
    pub postponed: Vec<PostponedFigures>,
    /// What is wrong, the first 20.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    pub problems: Vec<Problem>,
}

/// Messages that wait for one reason.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PostponedFigures {
    /// OutsideWindow, Holiday, CapReached, BudgetReached, ClientInWork, OtherDealLeads, LowerPriority, StaleCrm, Paused, Suspended,
    /// Spread, RateLimited or ChannelDown.
    #[schemars(length(max = 32))]
    pub reason: String,
    /// How many deals.
    pub deals: i64,
}

/// Deals by role of their stage.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CopyCounts {
    /// Someone works on them.
    pub in_work: i64,
    /// Nobody does.
    pub stalled: i64,
    /// Their clients are warmed.
    pub warming: i64,
    /// Their clients came back.
    pub revived: i64,
    /// Their clients opted out.
    pub unsubscribed: i64,
    /// Buyers, when the funnel keeps them.
    pub customer: i64,
    /// Lost for a reason that no warming stage names.
    pub not_warmed: i64,
}

/// One stage.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StageFigures {
    /// Its name in the spec, or its role.
    #[schemars(length(max = 128))]
    pub name: String,
    /// What people read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub title: Option<String>,
    /// InWork, Stalled, Warming, Revived, Unsubscribed, Customer, NotWarmed, Backfill or Archived.
    #[schemars(length(max = 32))]
    pub role: String,
    /// Deals in it.
    pub deals: i64,
    /// Their amount, in whole units of the CRM's currency.
    #[schemars(length(max = 32))]
    pub amount: String,
}

/// How fast managers reacted when a client showed interest, in working time.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReactionFigures {
    /// Within 5 minutes.
    #[serde(rename = "in5m")]
    pub in_5m: i64,
    /// Later, but within 30 minutes.
    #[serde(rename = "in30m")]
    pub in_30m: i64,
    /// Later, but within 24 hours.
    #[serde(rename = "in24h")]
    pub in_24h: i64,
    /// Later than that.
    pub later: i64,
    /// How often somebody above was told that nobody reacts (managers.escalate).
    pub escalated: i64,
}

/// What 30 days came to.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MonthFigures {
    /// Passages through warming in which the client got a first message in these days, or which ended in them after one.
    pub contacted: i64,
    /// Of those, revived in these days, within the funnel's attribution.
    pub revived: i64,
    /// Came back in these days without a message, or longer than the funnel's attribution after the last message or click.
    pub organic: i64,
    /// Put back to work by hand soon after a message or a click.
    pub assisted: i64,
    /// Clients who opted out.
    pub unsubscribed: i64,
    /// How fast managers reacted to interest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reactions: Option<ReactionFigures>,
}

/// What became of the messages of 24 hours.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DayFigures {
    /// Taken by a provider.
    pub sent: i64,
    /// Refused for good, or no longer valid when they could have been handed over.
    pub failed: i64,
    /// Nobody can say whether the provider took them; never sent again on our own initiative.
    pub ambiguous: i64,
    /// Left out, for reasons that the timeline tells.
    pub skipped: i64,
    /// Clicks by people.
    pub clicks: i64,
}

/// Something to put right.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// Where, like spec.items[2].sms.text.
    #[schemars(length(max = 512))]
    pub path: String,
    /// A documented word, like UnknownName.
    #[schemars(length(max = 64))]
    pub reason: String,
    /// What is wrong and what to write instead.
    #[schemars(length(max = 1024))]
    pub message: String,
}
