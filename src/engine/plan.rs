//! What one funnel means at one revision: everything the engine needs and nothing it must not know (no secrets, no bodies, no
//! Kubernetes). `compile` is the only maker of plans; each value in here was checked there.

use super::{Budget, Condition, DateRule, Price, Voice, Window};
use crate::model::{FunnelKey, HumanDuration, Medium, Mode, Purpose, Role, SendAs, SignalKind};
use jiff::{Timestamp, civil, tz::TimeZone};
use std::collections::{BTreeMap, BTreeSet};

/// One funnel, compiled.
#[derive(Clone, Debug)]
pub struct Plan {
    pub funnel: FunnelKey,
    /// 0 while it is only validated; the number under which it is stored otherwise.
    pub revision: i64,
    pub mode: Mode,
    pub suspend: bool,
    /// Name of the `CrmConnection` its deals come from.
    pub connection: String,
    /// Title or id of the pipeline; deals of other pipelines are not copied. `None`: all of them.
    pub pipeline: Option<String>,
    /// Nothing is sent to a connection's deals when it was not read for that long.
    pub max_staleness: Option<HumanDuration>,
    pub policy: Policy,
    /// Place of this funnel in the policy's priorities; [`Voice::UNRANKED`] if it has none.
    pub priority: i32,
    /// In the funnel's order: an item takes the first of its medium, or names one.
    pub channels: Vec<Channel>,
    pub stages: Stages,
    pub lists: BTreeMap<String, List>,
    /// When this funnel was first published: deals lost before it need `backfill`.
    pub since: Timestamp,
    pub backfill: Option<Backfill>,
    pub replies: Replies,
    pub clicks: Clicks,
    pub managers: Managers,
    /// A revival this long after a message or click counts as caused by it.
    pub attribution: HumanDuration,
    pub reentry: Reentry,
    pub holdout_percent: f64,
    pub holdout_salt: String,
    /// An item appended to a list does not reach those who entered it longer ago.
    pub journey_max_age: HumanDuration,
}

/// A name in which we write. Consent and unsubscription hold for person × brand.
pub type Brand = String;

/// The contact policy: one for all funnels that name it.
#[derive(Clone, Debug)]
pub struct Policy {
    pub name: String,
    /// `namespace/name`: what caps and budget are counted by.
    pub key: String,
    pub brand: Brand,
    /// How people know the brand: in texts and on pages.
    pub brand_title: String,
    pub consent: ConsentRule,
    /// Zone of clients of whom nothing better is known.
    pub time_zone: TimeZone,
    /// City or region (lower case) → zone, looked up in the client's and the deal's `city` and `region` fields.
    pub zone_map: BTreeMap<String, TimeZone>,
    /// When clients may be contacted, in their own zone. Empty: always.
    pub windows: Vec<Window>,
    /// Days without advertising.
    pub holidays: BTreeSet<civil::Date>,
    pub caps: Vec<Cap>,
    pub over_cap: OverCap,
    /// What its funnels may spend together.
    pub budget: Option<Budget>,
    /// Whether the policy ranks any funnel: only then somebody may have to give way.
    pub ranks: bool,
    /// Over how long what waited for a window is released.
    pub spread: HumanDuration,
    pub working_hours: WorkingHours,
    /// The policy's own stop: like `suspend` on all its funnels.
    pub paused: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConsentRule {
    /// Advertising needs a recorded consent; unknown is not sent.
    Recorded,
    /// The CRM's owner vouches: everyone not known to have refused.
    AssumedFromCrm,
}

#[derive(Clone, Debug)]
pub struct Cap {
    pub medium: Option<Medium>,
    pub at_most: u32,
    pub per: CapPer,
}

/// `Day`, `Week`, `Month` are calendar units in the client's zone; `Rolling` is elapsed time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CapPer {
    Day,
    Week,
    Month,
    Rolling(HumanDuration),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OverCap {
    Postpone,
    Skip,
}

/// Working time of managers, in the policy's zone.
#[derive(Clone, Debug)]
pub struct WorkingHours {
    pub time_zone: TimeZone,
    pub windows: Vec<Window>,
    pub holidays: BTreeSet<civil::Date>,
}

/// A message channel as the engine sees it.
#[derive(Clone, Debug)]
pub struct Channel {
    /// The funnel's name for it.
    pub name: String,
    /// Name of the `MessageChannel`.
    pub resource: String,
    pub medium: Medium,
    /// A message not handed over by then is dropped as expired.
    pub expires_after: HumanDuration,
    /// What a message costs, if that is declared.
    pub price: Option<Price>,
    /// The word that its texts announce for stopping them, for whoever reads answers.
    pub keyword: Option<String>,
}

#[derive(Clone, Debug)]
pub struct Stages {
    pub in_work_title: String,
    pub stalled: Vec<ColdStage>,
    pub warming: Vec<ColdStage>,
    pub revival: Revival,
    pub unsubscribed_title: String,
    pub customer: Option<ColdStage>,
}

/// A stage that a trigger leads into and that may have content: Stalled, Warming or Customer.
#[derive(Clone, Debug)]
pub struct ColdStage {
    pub name: String,
    pub title: String,
    /// Any of them. Empty for Customer: a won deal enters.
    pub enter: Vec<Trigger>,
    /// First match wins; none: nothing is sent.
    pub content: Vec<ContentRule>,
    pub remind: Vec<Reminder>,
    /// Ends the journey (the copy stays in its stage) as soon as it holds.
    pub stop_when: Option<Condition>,
}

#[derive(Clone, Debug)]
pub struct Trigger {
    pub kind: TriggerKind,
    /// Must hold as well.
    pub when: Option<Condition>,
}

#[derive(Clone, Debug)]
pub enum TriggerKind {
    /// Lost with one of these reasons or in one of these stages (titles or ids, compared without case); empty: any.
    Lost(Vec<String>),
    /// Open, and for that working time nobody did or planned anything.
    Inactivity(HumanDuration),
    /// The client was not heard of for that long (calendar time): neither activity on the deal nor a signal.
    ClientQuiet(HumanDuration),
    MovedTo(Vec<String>),
    FieldFilled(String),
    FieldChanged {
        field: String,
        from: Option<String>,
        to: Option<String>,
    },
    /// The date in `field`, plus (or minus, `before`) an offset, has come.
    Date {
        field: String,
        offset: HumanDuration,
        before: bool,
    },
    Signal(SignalKind),
    /// The guard alone.
    When,
}

#[derive(Clone, Debug)]
pub struct ContentRule {
    pub when: Option<Condition>,
    pub list: String,
}

#[derive(Clone, Debug)]
pub struct Reminder {
    /// Working time after the stage was entered, or the interest shown.
    pub after: HumanDuration,
    pub who: RemindWho,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RemindWho {
    Manager,
    Supervisor,
}

#[derive(Clone, Debug)]
pub struct Revival {
    pub title: String,
    pub signals: BTreeSet<SignalKind>,
    pub return_to: ReturnTo,
    pub task: TaskSpec,
}

/// Where a lost deal goes when its client answers; an open one stays where it is.
#[derive(Clone, Debug)]
pub struct ReturnTo {
    /// Title or id in the CRM. `None`: the deal is not moved.
    pub stage: Option<String>,
    /// Move open deals as well.
    pub move_open: bool,
}

/// A task for a manager. The title's template is with the texts, keyed by [`super::TaskText`].
#[derive(Clone, Debug)]
pub struct TaskSpec {
    /// Working time until it is due.
    pub due: HumanDuration,
}

#[derive(Clone, Debug)]
pub struct List {
    pub name: String,
    pub title: String,
    pub items: Vec<Item>,
    pub overdue: Overdue,
    pub stop_when: Option<Condition>,
}

#[derive(Clone, Debug)]
pub struct Item {
    pub name: String,
    pub title: String,
    /// From the previous item sent; the first, from entering the stage.
    pub after: HumanDuration,
    /// Aligned to this time of day (client's zone), at the first such moment not before `after`.
    pub at: Option<civil::Time>,
    /// On one of these days. Empty: any.
    pub days: Vec<civil::Weekday>,
    /// On a date of the deal or client, outside the order of the list; `after` means nothing then.
    pub date: Option<DateRule>,
    pub when: Option<Condition>,
    pub purpose: Purpose,
    pub medium: Medium,
    /// The funnel's name of a channel; `None`: the first of its medium.
    pub channel: Option<String>,
    pub send_as: SendAs,
    pub valid_from: Option<Timestamp>,
    pub valid_until: Option<Timestamp>,
    /// How long after its due moment it may still be sent.
    pub expires_after: Option<HumanDuration>,
    /// Values (like `client.firstName`) that its text uses without a default.
    pub requires: Vec<String>,
    /// Empty: one text. Names go into the ledger.
    pub variants: Vec<Variant>,
}

#[derive(Clone, Debug)]
pub struct Variant {
    pub name: String,
    pub weight: u32,
}

/// What becomes of items that turn overdue by an edit or after a standstill.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overdue {
    Skip,
    Send,
    Spread,
}

#[derive(Clone, Debug)]
pub struct Backfill {
    pub lost_within: HumanDuration,
    pub per_day: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replies {
    /// A reply pauses and asks the manager, whose outcome decides.
    Ask,
    /// A reply revives.
    Revive,
}

#[derive(Clone, Debug)]
pub struct Clicks {
    pub notify_at_most_every: HumanDuration,
    pub task: TaskSpec,
    /// The journey waits until the task is closed, at most two working days.
    pub pause: bool,
}

#[derive(Clone, Debug)]
pub struct Managers {
    /// Who gets what nobody else can: a manager id or an email address.
    pub fallback: Option<String>,
    /// Who is told, and after which working time, that a client showed interest and nobody reacted.
    pub escalate: Vec<Reminder>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reentry {
    Never,
    After(HumanDuration),
    Always,
}

impl Plan {
    /// What copies of other funnels must know of this one.
    #[must_use]
    pub fn voice(&self) -> Voice {
        Voice {
            brand: self.policy.brand.clone(),
            policy: self.policy.key.clone(),
            priority: self.priority,
            silent: self.silent(),
            observes: self.mode == Mode::Observe,
        }
    }

    /// Nothing is sent: it only observes, or somebody stopped it.
    #[must_use]
    pub fn silent(&self) -> bool {
        self.mode != Mode::Live || self.suspend || self.policy.paused
    }

    /// What people read of a stage. `None`: nobody gave it a title.
    #[must_use]
    pub fn title(&self, role: Role, stage: &str) -> Option<&str> {
        let stages = &self.stages;
        match role {
            Role::InWork => Some(&stages.in_work_title),
            Role::Revived => Some(&stages.revival.title),
            Role::Unsubscribed => Some(&stages.unsubscribed_title),
            Role::Stalled | Role::Warming | Role::Customer => self.cold_stage(stage).map(|s| s.title.as_str()),
            Role::NotWarmed | Role::Backfill | Role::Archived => None,
        }
    }

    /// The Stalled, Warming or Customer stage of that name.
    #[must_use]
    pub fn cold_stage(&self, name: &str) -> Option<&ColdStage> {
        self.stages.stalled.iter().chain(&self.stages.warming).chain(&self.stages.customer).find(|s| s.name == name)
    }

    /// The channel an item goes through.
    #[must_use]
    pub fn channel_for(&self, item: &Item) -> Option<&Channel> {
        match &item.channel {
            Some(name) => self.channels.iter().find(|c| c.name == *name && c.medium == item.medium),
            None => self.channels.iter().find(|c| c.medium == item.medium),
        }
    }

    #[must_use]
    pub fn item(&self, list: &str, item: &str) -> Option<&Item> {
        self.lists.get(list)?.items.iter().find(|i| i.name == item)
    }
}
