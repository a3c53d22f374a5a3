//! `ReactivationFunnel`: what happens to the deals of one sales pipeline that go cold or are lost.

use super::{LocalRef, ReactivationFunnelStatus};
use crate::model::{HumanDuration, Mode, SignalKind};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One reactivation funnel.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "rekindle.dev",
    version = "v1alpha1",
    kind = "ReactivationFunnel",
    namespaced,
    status = "ReactivationFunnelStatus",
    shortname = "funnel",
    shortname = "funnels",
    category = "rekindle",
    derive = "PartialEq",
    doc = "Copies the deals of a sales pipeline, warms those that go cold or are lost, and returns them to work when the client answers.",
    printcolumn(name = "Mode", type_ = "string", json_path = ".spec.mode"),
    printcolumn(name = "Ready", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].status"#),
    printcolumn(name = "Healthy", type_ = "string", json_path = r#".status.conditions[?(@.type=="Healthy")].status"#),
    printcolumn(name = "In work", type_ = "integer", json_path = ".status.copies.inWork"),
    printcolumn(name = "Cold", type_ = "integer", json_path = ".status.copies.stalled", description = "stalled deals"),
    printcolumn(name = "Warming", type_ = "integer", json_path = ".status.copies.warming"),
    printcolumn(name = "Revived", type_ = "integer", json_path = ".status.copies.revived"),
    printcolumn(name = "Unsub", type_ = "integer", json_path = ".status.copies.unsubscribed"),
    printcolumn(name = "Rate 30d", type_ = "string", json_path = ".status.rate30d", description = "revived of those contacted"),
    printcolumn(
        name = "Suspended",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Suspended")].status"#,
        priority = 1
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct ReactivationFunnelSpec {
    /// Observe (default): everything but sending and writing to the CRM; shows what would happen. Live: sends.
    #[serde(default)]
    pub mode: Mode,
    /// Stops sending and reminding; signals are still recorded. Default false.
    #[serde(default)]
    pub suspend: bool,
    /// Where the deals come from.
    pub source: Source,
    /// The ContactPolicy that rules when and how often clients are contacted.
    pub policy_ref: LocalRef,
    /// What messages go through: an item takes the first channel of its medium, or names one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub channels: Vec<FunnelChannel>,
    /// Admits deals that were lost before the funnel existed, slowly. Default: they are left alone. It does not hold up those who were
    /// quiet before (clientQuiet, inactivity, when): they enter at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backfill: Option<BackfillSpec>,
    /// The stages of the funnel.
    pub stages: StagesSpec,
    /// What an answer to a message does. Ask (default): pauses and asks the manager, whose outcome decides. Revive: counts as a revival.
    #[serde(default)]
    pub replies: RepliesSpec,
    /// What a click does.
    #[serde(default)]
    pub clicks: ClicksSpec,
    /// Who gets tasks and notifications.
    #[serde(default)]
    pub managers: ManagersSpec,
    /// A revival this long after a message or a click counts as caused by it. Default 30d.
    #[serde(default = "default_attribution")]
    pub attribution: HumanDuration,
    /// When a deal whose client was written to before and that is lost again is warmed again. Default: after 30d.
    #[serde(default)]
    pub reentry: ReentrySpec,
    /// Keeps a share of clients unsent, so that the effect is measured and not claimed. Default: nobody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holdout: Option<Holdout>,
    /// A message appended to a list does not reach those who entered it longer ago. Default 180d.
    #[serde(default = "default_journey_max_age")]
    pub journey_max_age: HumanDuration,
}

fn default_attribution() -> HumanDuration {
    HumanDuration::days(30)
}

fn default_journey_max_age() -> HumanDuration {
    HumanDuration::days(180)
}

/// Where the deals come from.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Source {
    /// The CrmConnection.
    pub crm_ref: LocalRef,
    /// Title or id of the sales pipeline. Default: all pipelines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub pipeline: Option<String>,
    /// What is copied. Deal (default): deals or opportunities.
    #[serde(default)]
    pub entity: Entity,
}

/// What is copied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Entity {
    #[default]
    Deal,
}

/// A channel under the funnel's own name.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FunnelChannel {
    /// The name that items use.
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,
    /// The MessageChannel.
    #[serde(rename = "ref")]
    pub reference: LocalRef,
}

/// How old losses are admitted.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BackfillSpec {
    /// Only deals lost no longer ago than that when their turn comes, like 180d; the latest losses come first.
    pub lost_within: HumanDuration,
    /// At most so many deals a day. Default 100.
    #[serde(default = "default_per_day")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub per_day: i32,
}

fn default_per_day() -> i32 {
    100
}

/// The stages of a funnel.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StagesSpec {
    /// Open deals that someone works on. Nothing is sent.
    #[serde(default = "in_work")]
    pub in_work: TitledStage,
    /// Open deals that nobody works on: the manager is reminded.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub stalled: Vec<StageSpec>,
    /// Lost deals whose clients are warmed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub warming: Vec<StageSpec>,
    /// Clients who came back.
    #[serde(default)]
    pub revived: RevivedStage,
    /// Clients who opted out while they were warmed.
    #[serde(default = "unsubscribed")]
    pub unsubscribed: TitledStage,
    /// Won deals, when the funnel keeps its buyers: feedback requests, service messages. Default: a won deal leaves the funnel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer: Option<CustomerStage>,
}

fn in_work() -> TitledStage {
    TitledStage { title: "In work".into() }
}

fn unsubscribed() -> TitledStage {
    TitledStage { title: "Unsubscribed".into() }
}

/// A stage that has only a title.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TitledStage {
    /// What people read.
    #[schemars(length(min = 1, max = 128))]
    pub title: String,
}

/// A stage that a trigger leads into.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StageSpec {
    /// Never changes. Lower-case letters, digits, dashes.
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,
    /// What people read. Default: name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub title: Option<String>,
    /// What leads into it; any one of these.
    #[schemars(length(min = 1, max = 32))]
    pub enter: Vec<TriggerSpec>,
    /// Which list is sent; the first whose condition holds. Default: nothing is sent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub content: Vec<ContentRuleSpec>,
    /// Who is reminded of the deal, and when. Reminders that become overdue together (the funnel goes live) keep their distance.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub remind: Vec<ReminderSpec>,
    /// CEL; as soon as it is true nothing more is sent in this stage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4096))]
    pub stop_when: Option<String>,
}

/// What leads into a stage: exactly one of lost, inactivity, clientQuiet, movedTo, fieldFilled, fieldChanged, date, signal, with or without
/// a condition in when; or when alone.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("[has(self.lost), has(self.inactivity), has(self.clientQuiet), has(self.movedTo), has(self.fieldFilled), has(self.fieldChanged), has(self.date), has(self.signal)].filter(x, x).size() <= 1")
    .message("set exactly one of lost, inactivity, clientQuiet, movedTo, fieldFilled, fieldChanged, date, signal; write the others as further entries of enter"))]
#[x_kube(validation = Rule::new("has(self.when) || [has(self.lost), has(self.inactivity), has(self.clientQuiet), has(self.movedTo), has(self.fieldFilled), has(self.fieldChanged), has(self.date), has(self.signal)].exists(x, x)")
    .message("set one of lost, inactivity, clientQuiet, movedTo, fieldFilled, fieldChanged, date, signal, when"))]
pub struct TriggerSpec {
    /// The deal was lost with one of these reasons, or in one of these stages of the CRM; compared without case. Empty: any loss.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 100), inner(length(min = 1, max = 256)))]
    pub lost: Option<Vec<String>>,
    /// The deal is open, and for that working time nobody did or planned anything, like 5d.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inactivity: Option<HumanDuration>,
    /// The client was not heard of for that long, like 90d.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_quiet: Option<HumanDuration>,
    /// The deal was moved to one of these stages of the CRM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 100), inner(length(min = 1, max = 256)))]
    pub moved_to: Option<Vec<String>>,
    /// This field of the deal, declared in the connection, got a value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub field_filled: Option<String>,
    /// A field of the deal changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field_changed: Option<FieldChangedSpec>,
    /// A date of the deal has come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub date: Option<DateSpec>,
    /// Something happened: InboundCall, MissedCall, Chat, Form, Reply, Refusal, Click, OutboundCall, Booked, TaskClosed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<SignalKind>,
    /// CEL that must be true as well, or alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4096))]
    pub when: Option<String>,
}

/// A change of a field.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldChangedSpec {
    /// Name of the field, as declared in the connection.
    #[schemars(length(min = 1, max = 63))]
    pub field: String,
    /// Only from this value; "" is an empty field. Default: any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub from: Option<String>,
    /// Only to this value; "" is an empty field. Default: any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub to: Option<String>,
}

/// A date in a field, or a time before or after it.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[x_kube(validation = Rule::new("!(has(self.after) && has(self.before))").message("set at most one of after, before"))]
pub struct DateSpec {
    /// Name of a field of the deal, declared in the connection with type Date.
    #[schemars(length(min = 1, max = 63))]
    pub field: String,
    /// That long after it. Default: on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<HumanDuration>,
    /// That long before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<HumanDuration>,
}

/// Which list is sent.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ContentRuleSpec {
    /// CEL that must be true, like deal.lostReason == 'Не подходит планировка'. Default: always.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4096))]
    pub when: Option<String>,
    /// The ContentList.
    pub list_ref: LocalRef,
}

/// Who is reminded, and when.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReminderSpec {
    /// Working time after the stage was entered or the interest shown, like 0h or 2d (a day is a working day).
    pub after: HumanDuration,
    /// Manager: the deal's manager. Supervisor: the manager's supervisor.
    pub who: RemindWhoSpec,
}

/// Who is reminded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum RemindWhoSpec {
    Manager,
    Supervisor,
}

/// Clients who came back.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RevivedStage {
    /// What people read. Default: Revived.
    #[serde(default = "revived_title")]
    #[schemars(length(min = 1, max = 128))]
    pub title: String,
    /// What revives: InboundCall, MissedCall, Chat, Form, and if you choose so Reply or Click. Default: the first four.
    #[serde(default = "revival_signals")]
    #[schemars(length(min = 1, max = 10))]
    pub signals: Vec<SignalKind>,
    /// Where a lost deal goes in the CRM when its client answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub return_to: Option<ReturnToSpec>,
    /// The manager's task.
    #[serde(default)]
    pub task: ManagerTask,
}

fn revived_title() -> String {
    "Revived".into()
}

fn revival_signals() -> Vec<SignalKind> {
    vec![SignalKind::InboundCall, SignalKind::MissedCall, SignalKind::Chat, SignalKind::Form]
}

impl Default for RevivedStage {
    fn default() -> Self {
        Self { title: revived_title(), signals: revival_signals(), return_to: None, task: ManagerTask::default() }
    }
}

/// Where a revived deal goes.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReturnToSpec {
    /// Title or id of the stage in the CRM.
    #[schemars(length(min = 1, max = 256))]
    pub stage: String,
    /// What becomes of deals that are still open. Keep (default): they stay where they are. Move: they are moved as well.
    #[serde(default)]
    pub if_open: IfOpen,
}

/// What becomes of open deals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum IfOpen {
    #[default]
    Keep,
    Move,
}

/// A task for a manager.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManagerTask {
    /// Its title, a template that knows client, deal, manager, brand, for clicks link.name, and for clients who came back signal.kind,
    /// like InboundCall. Default: a sentence in managers.language.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub title: Option<String>,
    /// Working time until it is due. Default 30m.
    #[serde(default = "default_due")]
    pub due: HumanDuration,
}

fn default_due() -> HumanDuration {
    HumanDuration::minutes(30)
}

impl Default for ManagerTask {
    fn default() -> Self {
        Self { title: None, due: default_due() }
    }
}

/// Buyers.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CustomerStage {
    /// What people read. Default: Customer.
    #[serde(default = "customer_title")]
    #[schemars(length(min = 1, max = 128))]
    pub title: String,
    /// Which list is sent after a sale; the first whose condition holds. Sales from before the funnel began get nothing. Default:
    /// nothing is sent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub content: Vec<ContentRuleSpec>,
    /// Who is reminded after a sale to ask the client how they are, and when.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub remind: Vec<ReminderSpec>,
    /// CEL; as soon as it is true nothing more is sent in this stage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4096))]
    pub stop_when: Option<String>,
}

fn customer_title() -> String {
    "Customer".into()
}

/// What an answer does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum RepliesSpec {
    #[default]
    Ask,
    Revive,
}

/// What a click does.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClicksSpec {
    /// The manager hears of a deal's clicks at most once in that time. Default 1d.
    #[serde(default = "default_notify")]
    pub notify_at_most_every: HumanDuration,
    /// The manager's task.
    #[serde(default)]
    pub task: ManagerTask,
    /// UntilTaskClosed (default): after a click that the manager hears of, the next messages wait until the task is closed, at most two
    /// working days. Never: they go on.
    #[serde(default)]
    pub pause: ClickPause,
}

fn default_notify() -> HumanDuration {
    HumanDuration::days(1)
}

impl Default for ClicksSpec {
    fn default() -> Self {
        Self { notify_at_most_every: default_notify(), task: ManagerTask::default(), pause: ClickPause::default() }
    }
}

/// Whether a click pauses the journey.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ClickPause {
    #[default]
    UntilTaskClosed,
    Never,
}

/// Who gets tasks and notifications, and in which words.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ManagersSpec {
    /// The CRM's field of a manager that names who stands in for them. Default: what the connection declares.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub deputy_field: Option<String>,
    /// Who gets what nobody else can: a manager's id in the CRM or an email address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 320))]
    pub fallback: Option<String>,
    /// Who is told that a client showed interest and nobody reacted, and after which working time. Default: nobody.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub escalate: Vec<ReminderSpec>,
    /// Language of the built-in titles, like ru. Default: the client's, if it is known, else the brand's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 2, max = 35), regex(pattern = r"^[a-zA-Z]{2,3}(-[a-zA-Z0-9]{2,8})*$"))]
    pub language: Option<String>,
    /// Title of the task after a reply, a template. Default: a sentence in language.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub replied_title: Option<String>,
    /// Title of the reminder of a forgotten deal, a template. Default: a sentence in language.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub reminder_title: Option<String>,
}

/// When a client may be warmed again. Exactly one of never, after, always is set.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[x_kube(validation = Rule::new("[has(self.never), has(self.after), has(self.always)].filter(x, x).size() == 1").message("set exactly one of never: true, after, always: true"))]
#[x_kube(validation = Rule::new("(!has(self.never) || self.never) && (!has(self.always) || self.always)").message("never and always can only be true: leave the other one out"))]
pub struct ReentrySpec {
    /// true: a deal is warmed once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub never: Option<bool>,
    /// Again, that long after the last time ended, like 30d.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<HumanDuration>,
    /// true: again at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub always: Option<bool>,
}

impl Default for ReentrySpec {
    fn default() -> Self {
        Self { never: None, after: Some(HumanDuration::days(30)), always: None }
    }
}

/// A share of clients that is not written to.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holdout {
    /// How many of a hundred clients get nothing.
    #[schemars(range(min = 0, max = 90))]
    pub percent: i32,
    /// Any word; another word chooses other clients. Default: the funnel's namespace and name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub salt: Option<String>,
}
