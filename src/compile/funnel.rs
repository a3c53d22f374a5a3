//! One funnel with everything it refers to: what is stored as a revision, and the plan and texts it means.

use super::{
    ObjectRef, Snapshot, SourceObject, channel,
    finding::{Finding, Findings, Reason, suggest},
    list::{self, ChannelOf, For},
    names::{Names, Use},
    policy, stage,
};
use crate::api::{
    ClickPause, ContactPolicySpec, ContentListSpec, CrmConnectionSpec, EmailSenderSpec, Field, IfOpen, MessageChannelSpec,
    ReactivationFunnelSpec, ReentrySpec, RepliesSpec, SmsSenderSpec,
};
use crate::content::{Escape, TaskTexts, Template, Texts};
use crate::engine::{
    Backfill, Channel, Clicks, Managers, Plan, Policy, Price, Reentry, Replies, ReturnTo, Revival, TaskSpec, Voice,
};
use crate::model::{Email, FunnelKey, HumanDuration, SignalKind};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
};

/// A funnel and what it refers to, with all defaults filled in and without secrets or provider settings: what is stored as a
/// revision, and all that a replica needs to know what the funnel means.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FunnelSnapshot {
    pub namespace: String,
    pub name: String,
    pub spec: ReactivationFunnelSpec,
    pub connection: ConnectionFacts,
    pub policy: ContactPolicySpec,
    /// By name of the `MessageChannel`.
    pub channels: BTreeMap<String, ChannelFacts>,
    /// By name; bodies from `ConfigMaps` are in place.
    pub lists: BTreeMap<String, ContentListSpec>,
    /// It is Live, but a newer edit, broken elsewhere, says Observe; `spec.mode` says so, too.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub held_back: bool,
}

/// What a funnel's meaning needs of its connection.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ConnectionFacts {
    pub max_staleness: HumanDuration,
    #[serde(default)]
    pub fields: Vec<Field>,
}

/// What a funnel's meaning needs of a channel.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ChannelFacts {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sms: Option<SmsSenderSpec>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<EmailSenderSpec>,
    pub expires_after: HumanDuration,
}

impl FunnelSnapshot {
    /// The connection and the channels that it knows as they stand in `now`.
    #[must_use]
    pub fn knows(&self, now: &Snapshot) -> BTreeSet<ObjectRef> {
        let ours = |object: &&SourceObject| object.namespace == self.namespace && self.knows_one(object);
        let key = |object: &SourceObject| ObjectRef {
            kind: object.kind.clone(),
            namespace: object.namespace.clone(),
            name: object.name.clone(),
        };
        now.objects.iter().filter(ours).map(key).collect()
    }

    fn knows_one(&self, object: &SourceObject) -> bool {
        let spec = &object.value["spec"];
        match object.kind.as_str() {
            "CrmConnection" if self.spec.source.crm_ref.name == object.name => {
                CrmConnectionSpec::deserialize(spec).is_ok_and(|spec| ConnectionFacts::of(&spec) == self.connection)
            }
            "MessageChannel" => self
                .channels
                .get(&object.name)
                .is_some_and(|known| MessageChannelSpec::deserialize(spec).is_ok_and(|spec| ChannelFacts::of(&spec) == *known)),
            _ => false,
        }
    }

    /// What copies of other funnels must know of this one.
    #[must_use]
    pub fn voice(&self) -> Voice {
        Voice {
            brand: self.policy.brand.clone(),
            policy: format!("{}/{}", self.namespace, self.spec.policy_ref.name),
            priority: policy::priority(&self.policy, &self.name),
            silent: false,
            observes: false,
        }
    }
}

impl ConnectionFacts {
    pub(super) fn of(spec: &CrmConnectionSpec) -> Self {
        Self { max_staleness: spec.max_staleness, fields: spec.fields.clone() }
    }
}

impl ChannelFacts {
    pub(super) fn of(spec: &MessageChannelSpec) -> Self {
        Self { sms: spec.sms.clone(), email: spec.email.clone(), expires_after: spec.expires_after }
    }

    /// As a resource without providers, for the checks that need no more.
    fn spec(&self) -> MessageChannelSpec {
        MessageChannelSpec {
            sms: self.sms.clone(),
            email: self.email.clone(),
            providers: Vec::new(),
            rate: crate::api::Rate::default(),
            expires_after: self.expires_after,
            retry: crate::api::Retry::default(),
            on_ambiguous: crate::api::OnAmbiguousSpec::default(),
            test_recipients: Vec::new(),
        }
    }
}

impl fmt::Debug for FunnelSnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<funnel {}/{}>", self.namespace, self.name)
    }
}

impl FunnelSnapshot {
    #[must_use]
    pub fn key(&self) -> FunnelKey {
        FunnelKey { namespace: self.namespace.clone(), name: self.name.clone() }
    }
}

/// One funnel, ready to run. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Compiled {
    pub plan: Arc<Plan>,
    pub texts: Arc<Texts>,
}

/// Compiles one funnel, usually a stored revision. `revision`: its number, 0 while it is only checked; `since`: when the funnel was
/// first published.
///
/// # Errors
/// What is wrong with it: only findings of severity `Error`, when at least one is.
pub fn compile_funnel(snapshot: &FunnelSnapshot, revision: i64, since: Timestamp) -> Result<Compiled, Vec<Finding>> {
    let (compiled, findings) = build(snapshot, revision, since, true);
    if findings.iter().any(Finding::is_error) {
        return Err(findings.into_iter().filter(Finding::is_error).collect());
    }
    Ok(compiled)
}

/// The best that can be made of it, and all findings. Only without errors among them it means what was written. `stored`: it passed
/// this once, perhaps in an earlier version, and is in force: what is refused since is a warning.
pub(super) fn build(snapshot: &FunnelSnapshot, revision: i64, since: Timestamp, stored: bool) -> (Compiled, Vec<Finding>) {
    let namespace = snapshot.namespace.as_str();
    let spec = &snapshot.spec;
    let mut found = Findings::of("ReactivationFunnel", namespace, &snapshot.name).stored(stored);
    let mut others: Vec<Finding> = Vec::new();
    let names = Names::of(&snapshot.connection.fields).with_items(snapshot.lists.iter().map(|(name, list)| (name.as_str(), list)));

    let mut policy_found = Findings::of("ContactPolicy", namespace, &spec.policy_ref.name).stored(stored);
    let policy = policy::policy(&spec.policy_ref.name, &snapshot.policy, &mut policy_found);
    others.append(&mut policy_found.list);
    let brand_title = snapshot.policy.brand_title.clone().unwrap_or_else(|| snapshot.policy.brand.clone());

    let (channels, senders) = channels(snapshot, &brand_title, stored, &mut found, &mut others);

    let mut money = Findings::of("ContactPolicy", namespace, &spec.policy_ref.name);
    check_budget(&policy, &channels, &mut money);
    others.append(&mut money.list);

    let stages = stage::stages(spec, &names, &snapshot.connection.fields, &mut found);
    let mut lists = BTreeMap::new();
    let mut texts = Texts { tasks: tasks(spec, &names, &mut found), ..Texts::default() };
    let scope = For {
        names: &names,
        fields: &snapshot.connection.fields,
        policy: Some(&policy),
        channels: &senders,
        all_channels: spec.channels.iter().all(|c| snapshot.channels.contains_key(&c.reference.name)),
        funnel: &snapshot.name,
        brand_title: &brand_title,
    };
    for (name, list) in &snapshot.lists {
        let mut list_found = Findings::of("ContentList", namespace, name).stored(stored);
        let (planned, items) = list::list(name, list, &scope, &mut list_found, &mut found);
        texts.items.extend(items.into_iter().map(|(item, text)| ((name.clone(), item), text)));
        lists.insert(name.clone(), planned);
        others.append(&mut list_found.list);
    }

    let plan = Plan {
        funnel: snapshot.key(),
        revision,
        mode: spec.mode,
        suspend: spec.suspend,
        connection: spec.source.crm_ref.name.clone(),
        pipeline: spec.source.pipeline.clone(),
        max_staleness: Some(snapshot.connection.max_staleness),
        policy,
        priority: policy::priority(&snapshot.policy, &snapshot.name),
        channels,
        stages,
        lists,
        since,
        backfill: backfill(spec, &mut found),
        replies: match spec.replies {
            RepliesSpec::Ask => Replies::Ask,
            RepliesSpec::Revive => Replies::Revive,
        },
        clicks: Clicks {
            notify_at_most_every: spec.clicks.notify_at_most_every,
            task: TaskSpec { due: spec.clicks.task.due },
            pause: spec.clicks.pause == ClickPause::UntilTaskClosed,
        },
        managers: managers(spec, &mut found),
        attribution: attribution(spec, &mut found),
        reentry: reentry(&spec.reentry, &mut found),
        holdout_percent: spec.holdout.as_ref().map_or(0.0, |h| f64::from(h.percent.clamp(0, 100))),
        holdout_salt: spec
            .holdout
            .as_ref()
            .and_then(|h| h.salt.clone())
            .unwrap_or_else(|| format!("{namespace}/{}", snapshot.name)),
        journey_max_age: spec.journey_max_age,
    };
    if let Some(holdout) = &spec.holdout
        && !(0..=90).contains(&holdout.percent)
    {
        found.error(
            "spec.holdout.percent",
            Reason::InvalidValue,
            format!("{} of a hundred cannot be held out", holdout.percent),
            "write 0 to 90, usually 5 or 10",
        );
    }
    found.list.append(&mut others);
    (Compiled { plan: Arc::new(plan), texts: Arc::new(texts) }, found.list)
}

fn channels(
    snapshot: &FunnelSnapshot,
    brand_title: &str,
    stored: bool,
    found: &mut Findings,
    others: &mut Vec<Finding>,
) -> (Vec<Channel>, Vec<ChannelOf>) {
    let (mut channels, mut senders) = (Vec::<Channel>::new(), Vec::new());
    for (i, entry) in snapshot.spec.channels.iter().enumerate() {
        let path = format!("spec.channels[{i}]");
        if channels.iter().any(|c| c.name == entry.name) {
            found.error(
                &format!("{path}.name"),
                Reason::Duplicate,
                format!("two channels are named {}", entry.name),
                "give one of them another name",
            );
        }
        let Some(facts) = snapshot.channels.get(&entry.reference.name) else {
            missing("MessageChannel", &entry.reference.name, &format!("{path}.ref.name"), snapshot.channels.keys(), found);
            continue;
        };
        let resource = facts.spec();
        let mut channel_found = Findings::of("MessageChannel", &snapshot.namespace, &entry.reference.name).stored(stored);
        let sender = channel::sender(&resource, brand_title, &mut channel_found);
        others.append(&mut channel_found.list);
        let Some(medium) = channel::medium(&resource) else { continue };
        senders.push(ChannelOf { name: entry.name.clone(), medium, sender });
        channels.push(Channel {
            name: entry.name.clone(),
            resource: entry.reference.name.clone(),
            medium,
            expires_after: facts.expires_after,
            price: channel::price(&resource).map(|price| Price { each: price.per_part, currency: price.currency }),
            keyword: resource.sms.as_ref().and_then(channel::keyword),
        });
    }
    (channels, senders)
}

/// A budget that counts nothing, or apples as pears.
fn check_budget(policy: &Policy, channels: &[Channel], found: &mut Findings) {
    let Some(budget) = &policy.budget else { return };
    for channel in channels {
        if let Some(price) = channel.price.as_ref().filter(|price| price.currency != budget.currency) {
            found.error(
                "spec.budget.currency",
                Reason::Conflict,
                format!(
                    "the budget is in {} and the MessageChannel {} costs {}",
                    budget.currency, channel.resource, price.currency
                ),
                "write both in one currency",
            );
        }
    }
    for (limit, member) in [(budget.per_day, "perDay"), (budget.per_month, "perMonth")] {
        let Some(limit) = limit.filter(|limit| *limit > 0) else { continue };
        let dear = |channel: &&Channel| channel.price.as_ref().is_some_and(|p| p.currency == budget.currency && p.each > limit);
        if let Some(channel) = channels.iter().find(dear) {
            found.warn(
                &format!("spec.budget.{member}"),
                Reason::NeverOpens,
                format!(
                    "one message through the MessageChannel {} costs more than that, so all of them are left out",
                    channel.resource
                ),
                "write what may be spent in all, like \"3000\"",
            );
        }
    }
    if !channels.is_empty() && channels.iter().all(|channel| channel.price.is_none()) {
        found.warn(
            "spec.budget",
            Reason::Incomplete,
            "none of the channels that use this policy declares a price, so nothing counts",
            "write the price of a message into the MessageChannel, like price: {perPart: \"4.20\", currency: RUB}",
        );
    }
}

/// A resource that is named but not there.
pub(super) fn missing<'a>(kind: &str, name: &str, path: &str, known: impl Iterator<Item = &'a String>, found: &mut Findings) {
    let known: Vec<&str> = known.map(String::as_str).collect();
    let help = if known.is_empty() { format!("create it, or name another {kind} of this namespace") } else { suggest(name, known) };
    found.error(path, Reason::NotFound, format!("there is no {kind} {name} in this namespace"), help);
}

fn backfill(spec: &ReactivationFunnelSpec, found: &mut Findings) -> Option<Backfill> {
    let given = spec.backfill.as_ref()?;
    let per_day = u32::try_from(given.per_day).unwrap_or(0);
    if per_day == 0 {
        found.error(
            "spec.backfill.perDay",
            Reason::NeverOpens,
            "at that pace no deal is ever admitted",
            "write at least 1, or leave backfill out",
        );
    }
    if given.lost_within.is_zero() {
        found.error(
            "spec.backfill.lostWithin",
            Reason::NeverOpens,
            "no deal was lost within no time",
            "write how old a loss may be, like 180d",
        );
    } else if given.lost_within > HumanDuration::days(3 * 366) {
        found.warn(
            "spec.backfill.lostWithin",
            Reason::Incomplete,
            format!("{} ago is long: many have forgotten you, and will complain", given.lost_within),
            "write 180d, and see how people answer before you go further back",
        );
    }
    Some(Backfill { lost_within: given.lost_within, per_day })
}

fn managers(spec: &ReactivationFunnelSpec, found: &mut Findings) -> Managers {
    let fallback = spec.managers.fallback.clone();
    if let Some(address) = fallback.as_deref().filter(|f| f.contains('@'))
        && Email::parse(address).is_err()
    {
        found.error(
            "spec.managers.fallback",
            Reason::InvalidValue,
            "this is not an email address",
            "write one plain address, like head@example.com, or a manager's id",
        );
    }
    Managers { fallback, escalate: stage::remind(&spec.managers.escalate, "spec.managers.escalate", found) }
}

fn attribution(spec: &ReactivationFunnelSpec, found: &mut Findings) -> HumanDuration {
    if spec.attribution.is_zero() {
        found.error(
            "spec.attribution",
            Reason::NeverOpens,
            "no revival would ever count as caused by a message",
            "write how long after a message a revival still counts, like 30d",
        );
    }
    spec.attribution
}

fn reentry(spec: &ReentrySpec, found: &mut Findings) -> Reentry {
    match (spec.never, spec.after, spec.always) {
        (Some(true), None, None) => Reentry::Never,
        (None, Some(after), None) => Reentry::After(after),
        (None, None, Some(true)) => Reentry::Always,
        _ => {
            found.error(
                "spec.reentry",
                Reason::InvalidUnion,
                "exactly one of never, after, always must be set",
                "write {never: true}, {after: 30d} or {always: true}",
            );
            Reentry::Never
        }
    }
}

fn tasks(spec: &ReactivationFunnelSpec, names: &Names, found: &mut Findings) -> TaskTexts {
    let mut title = |source: Option<&String>, allowed: Use<'_>, path: &str| -> Option<Template> {
        source.and_then(|s| names.template(s, Escape::Header, allowed, path, found))
    };
    TaskTexts {
        revived: title(spec.stages.revived.task.title.as_ref(), Use::RevivedTask, "spec.stages.revived.task.title"),
        clicked: title(spec.clicks.task.title.as_ref(), Use::ClickTask, "spec.clicks.task.title"),
        replied: title(spec.managers.replied_title.as_ref(), Use::Task, "spec.managers.repliedTitle"),
        forgotten: title(spec.managers.reminder_title.as_ref(), Use::Task, "spec.managers.reminderTitle"),
        language: spec.managers.language.clone(),
    }
}

/// The stage of those who came back.
pub(super) fn revival(spec: &ReactivationFunnelSpec, found: &mut Findings) -> Revival {
    let revived = &spec.stages.revived;
    for (i, signal) in revived.signals.iter().enumerate() {
        if matches!(signal, SignalKind::OutboundCall | SignalKind::TaskClosed | SignalKind::Refusal) {
            let why = match signal {
                SignalKind::OutboundCall => "a call that the manager makes says nothing of the client",
                SignalKind::Refusal => "a refusal is the contrary",
                _ => "a closed task says what the manager did",
            };
            found.error(
                &format!("spec.stages.revived.signals[{i}]"),
                Reason::Unreachable,
                format!("{} never revives: {why}", signal.as_str()),
                "write InboundCall, MissedCall, Chat, Form, and if you choose so Reply, Click or Booked",
            );
        }
    }
    if revived.signals.is_empty() {
        found.error(
            "spec.stages.revived.signals",
            Reason::NeverOpens,
            "nothing would ever revive a deal",
            "leave signals out for InboundCall, MissedCall, Chat, Form",
        );
    }
    let to = revived.return_to.as_ref();
    Revival {
        title: revived.title.clone(),
        signals: revived.signals.iter().copied().collect(),
        return_to: ReturnTo { stage: to.map(|r| r.stage.clone()), move_open: to.is_some_and(|r| r.if_open == IfOpen::Move) },
        task: TaskSpec { due: revived.task.due },
    }
}
