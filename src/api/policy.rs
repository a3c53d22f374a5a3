//! `ContactPolicy`: the platform's rules of contact, one for all funnels that name it.

use super::{ContactPolicyStatus, TimeWindow, common::short_strings};
use crate::model::{HumanDuration, Medium};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// When, how often and on what ground clients of one brand may be contacted.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "rekindle.dev",
    version = "v1alpha1",
    kind = "ContactPolicy",
    plural = "contactpolicies",
    namespaced,
    status = "ContactPolicyStatus",
    shortname = "cpol",
    category = "rekindle",
    derive = "PartialEq",
    doc = "When, how often and on what ground clients of one brand may be contacted: one policy for all funnels that name it.",
    printcolumn(name = "Brand", type_ = "string", json_path = ".spec.brand"),
    printcolumn(name = "Paused", type_ = "boolean", json_path = ".spec.paused"),
    printcolumn(name = "Ready", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].status"#),
    printcolumn(name = "Today", type_ = "integer", json_path = ".status.messagesToday", description = "messages sent today"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct ContactPolicySpec {
    /// In whose name clients are written to: consent and unsubscription hold for person and brand. Lower-case letters, digits and
    /// dashes; do not change it later, or every consent is lost.
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub brand: String,
    /// The brand as people read it, in emails and on the unsubscribe page. Default: brand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub brand_title: Option<String>,
    /// What advertising needs.
    #[serde(default)]
    pub consent: ConsentSpec,
    /// Time zone of clients of whom nothing better is known, and of the managers, like Europe/Moscow.
    #[schemars(length(min = 1, max = 64))]
    pub time_zone: String,
    /// City or region of a client → time zone, like {Казань: Europe/Moscow}. Looked up in the declared fields city and region, without case.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "zone_map")]
    pub zones: BTreeMap<String, String>,
    /// When clients may be contacted, in their own time zone. Default: every day from 10:00 to 20:00.
    #[serde(default = "default_windows")]
    #[schemars(length(min = 1, max = 28))]
    pub windows: Vec<TimeWindow>,
    /// Days without advertising, which managers do not work either.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holidays: Option<Holidays>,
    /// At most so many advertising messages to one client, all funnels of this policy together. Default: no bound.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub caps: Vec<CapSpec>,
    /// What becomes of a message over a cap. Postpone (default): it waits until it fits. Skip: it is left out, with a reason that can be seen.
    #[serde(default)]
    pub over_cap: OverCapSpec,
    /// What the funnels of this policy may spend together on messages, counted by the prices that their channels declare: an SMS by its
    /// parts. Service messages count and are never held up. Default: no bound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<BudgetSpec>,
    /// Whose messages come first when a client could get several: funnels by name, the most important first. Of a client's lost deals
    /// the one in the higher funnel is spoken of, the others wait; and a message waits (LowerPriority) when it would take the last room
    /// under a cap from one that a higher funnel is about to send. Funnels that are not named come after those that are. Default: none
    /// is above another, and the deal that was lost first is spoken of.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100))]
    pub priorities: Vec<PrioritySpec>,
    /// What waited for a window to open is released smoothly over that long, never as a burst. Default 30m.
    #[serde(default = "default_spread")]
    pub spread: HumanDuration,
    /// When managers work, in the policy's time zone: counts for inactivity, reminders and due times. Default: Mon to Fri, 09:00 to 18:00.
    #[serde(default = "default_working_hours")]
    pub working_hours: TimeWindow,
    /// Stops all sending of the funnels that name this policy. Default false.
    #[serde(default)]
    pub paused: bool,
}

fn zone_map(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
    let mut schema = short_strings(generator);
    schema.insert("maxProperties".into(), 1000.into());
    schema
}

fn default_windows() -> Vec<TimeWindow> {
    vec![TimeWindow { days: Vec::new(), from: "10:00".into(), to: "20:00".into() }]
}

fn default_spread() -> HumanDuration {
    HumanDuration::minutes(30)
}

fn default_working_hours() -> TimeWindow {
    use super::Day::{Fri, Mon, Thu, Tue, Wed};
    TimeWindow { days: vec![Mon, Tue, Wed, Thu, Fri], from: "09:00".into(), to: "18:00".into() }
}

/// What advertising needs.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConsentSpec {
    /// Recorded (default): advertising needs a consent that is on record; unknown is not sent. AssumedFromCrm: you vouch for everyone in
    /// the CRM who is not known to have refused.
    #[serde(default)]
    pub advertising: AdvertisingConsent,
}

/// What advertising needs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum AdvertisingConsent {
    #[default]
    Recorded,
    AssumedFromCrm,
}

/// Days without advertising.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[x_kube(validation = Rule::new("has(self.country) || has(self.dates)").message("set country, dates or both"))]
pub struct Holidays {
    /// The public holidays that a whole country has, by its code of ISO 3166-1 (DE, FR, GB, KZ, PL, RU, US and about a hundred others;
    /// one that is not known is refused with the list of those that are). Holidays of regions and working days that a government
    /// moves by decree are not among them; add those to dates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2), regex(pattern = r"^[A-Z]{2}$"))]
    pub country: Option<String>,
    /// Single days, like 2027-05-03.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 366), inner(length(max = 10), regex(pattern = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$")))]
    pub dates: Vec<String>,
}

/// At most so many messages in a time.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CapSpec {
    /// Counts only this medium: Sms or Email. Default: all together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub medium: Option<Medium>,
    /// How many, at least 1.
    #[schemars(range(min = 1, max = 10000))]
    pub at_most: i32,
    /// Day, Week, Month: of the calendar, in the client's time zone. A duration like 24h or 10d: any span of that length.
    #[schemars(length(max = 32), regex(pattern = r"^(Day|Week|Month|([0-9]{1,9}[wdhms])+)$"))]
    pub per: String,
}

/// What may be spent on messages.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.perDay) || has(self.perMonth)").message("set perDay, perMonth or both"))]
pub struct BudgetSpec {
    /// Currency of the prices by its three letters, like RUB.
    #[schemars(length(max = 3), regex(pattern = r"^[A-Z]{3}$"))]
    pub currency: String,
    /// At most so much in one day of the policy's time zone, like "3000". Write it in quotes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 18), regex(pattern = r"^[0-9]{1,12}([.][0-9]{1,4})?$"))]
    pub per_day: Option<String>,
    /// At most so much in one month of the policy's time zone, like "60000". Write it in quotes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 18), regex(pattern = r"^[0-9]{1,12}([.][0-9]{1,4})?$"))]
    pub per_month: Option<String>,
    /// What becomes of a message beyond it (BudgetReached). Postpone (default): it waits for the next day or month. Skip: it is left out,
    /// with a reason that can be seen.
    #[serde(default)]
    pub over: OverCapSpec,
}

/// One place in the order of priorities.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PrioritySpec {
    /// Name of a ReactivationFunnel that names this policy.
    #[schemars(length(min = 1, max = 253))]
    pub funnel: String,
}

/// What becomes of a message over a cap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum OverCapSpec {
    #[default]
    Postpone,
    Skip,
}
