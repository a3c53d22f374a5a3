//! What a publication came to, by object.

use super::{
    ConditionReason,
    conditions::{Is, condition, first_error, unready},
};
use crate::{
    api::Field,
    compile::{Finding, ObjectRef, Reason, longest_sms},
    model::FunnelKey,
    source::{Reading, named_resources},
    workers::{Plans, Published},
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use std::collections::{BTreeMap, BTreeSet};

/// Everything that statuses say about configuration.
pub(super) struct Standing {
    pub reading: Reading,
    findings: BTreeMap<ObjectRef, Vec<Finding>>,
    /// What is in force of each funnel that exists; `false`: not what its spec says now.
    pub funnels: BTreeMap<FunnelKey, (Option<i64>, bool)>,
    /// Connections and channels that such a funnel knows as they are now.
    known: BTreeMap<FunnelKey, BTreeSet<ObjectRef>>,
    /// What stops funnels that are not what their spec says now.
    stopped: BTreeMap<FunnelKey, Vec<&'static str>>,
    /// Adapters that could not be built: resource and reason.
    adapters: BTreeMap<String, String>,
    /// Resource → funnels that name it.
    used: BTreeMap<ObjectRef, BTreeSet<FunnelKey>>,
    /// Funnel → what it names.
    names: BTreeMap<FunnelKey, BTreeSet<ObjectRef>>,
    /// Parts of the longest SMS of lists that are in force.
    pub sms_parts: BTreeMap<ObjectRef, u32>,
}

pub(super) fn key_of(object: &ObjectRef) -> FunnelKey {
    FunnelKey { namespace: object.namespace.clone(), name: object.name.clone() }
}

impl Standing {
    pub fn new(reading: Reading, published: Published, plans: &Plans) -> Self {
        let mut findings: BTreeMap<ObjectRef, Vec<Finding>> = BTreeMap::new();
        for finding in published.findings {
            findings.entry(finding.object.clone()).or_default().push(finding);
        }
        let mut in_force = BTreeMap::new();
        for (funnel, revision) in published.kept {
            in_force.insert(funnel, (revision, false));
        }
        for (funnel, revision, _) in published.funnels {
            in_force.insert(funnel, (Some(revision), true));
        }
        let (mut used, mut names_of) = (BTreeMap::<_, BTreeSet<_>>::new(), BTreeMap::new());
        for object in reading.snapshot.objects.iter().filter(|object| object.kind == "ReactivationFunnel") {
            let funnel = FunnelKey { namespace: object.namespace.clone(), name: object.name.clone() };
            let resources = named_resources(&object.namespace, &object.value["spec"]);
            for resource in &resources {
                used.entry(resource.clone()).or_default().insert(funnel.clone());
            }
            names_of.insert(funnel, resources);
        }
        let sms_parts = sms_parts(&reading, &used, plans);
        let adapters = published.adapters.into_iter().collect();
        let (known, stopped) = (published.known, published.stopped);
        Self { reading, findings, funnels: in_force, known, stopped, adapters, used, names: names_of, sms_parts }
    }

    pub fn findings(&self, object: &ObjectRef) -> &[Finding] {
        self.findings.get(object).map_or(&[], Vec::as_slice)
    }

    /// Why an object's own errors keep it from being in force.
    pub fn error_reason(&self, object: &ObjectRef) -> Option<ConditionReason> {
        own_errors(self.findings(object)).map(|(reason, _)| reason)
    }

    pub fn used_by(&self, object: &ObjectRef) -> usize {
        self.used.get(object).map_or(0, BTreeSet::len)
    }

    pub fn users(&self, object: &ObjectRef) -> impl Iterator<Item = &FunnelKey> {
        self.used.get(object).into_iter().flatten()
    }

    /// What a funnel names, of one kind.
    pub fn named<'a>(&'a self, funnel: &FunnelKey, kind: &'a str) -> impl Iterator<Item = &'a ObjectRef> {
        self.names.get(funnel).into_iter().flatten().filter(move |object| object.kind == kind)
    }

    /// Why what an object describes could not be opened.
    pub fn open_error(&self, object: &ObjectRef) -> Option<&str> {
        self.adapters.get(&format!("{} {}/{}", object.kind, object.namespace, object.name)).map(String::as_str)
    }

    /// Whether a funnel that is in force, by an older revision perhaps, names it.
    fn in_force(&self, object: &ObjectRef) -> bool {
        self.users(object).any(|funnel| matches!(self.funnels.get(funnel), Some((Some(_), _))))
    }

    /// What health says of a connection or channel that is not open. `then`: what that means for a funnel in force. Where there is none,
    /// what it lacks may only be on its way.
    pub fn not_open(&self, object: &ObjectRef, then: &str) -> (Is, ConditionReason, String) {
        let error = self.open_error(object);
        let missing = || (!self.reading.seen.contains_key(object)).then(|| format!("there is no {} {}", object.kind, object.name));
        let why = error.map(str::to_owned).or_else(|| first_error(self.findings(object))).or_else(missing);
        let (is, message) = match why {
            Some(why) if error.is_some() || self.in_force(object) => (Is::No, format!("it cannot be opened: {why}; {then}")),
            Some(why) => (Is::Unknown, format!("it is not open yet: {why}")),
            None => (Is::Unknown, "it is not open yet".to_owned()),
        };
        (is, ConditionReason::CannotOpen, message)
    }

    /// Whether a funnel goes on by a revision that holds an object as it was before. A list and a policy are whole in it; of a channel
    /// it holds the sender and how long its messages count, of a connection the fields and how old its data may be.
    fn behind(&self, funnel: &FunnelKey, object: &ObjectRef) -> bool {
        let facts_only = matches!(object.kind.as_str(), "MessageChannel" | "CrmConnection");
        match self.funnels.get(funnel) {
            Some((_, true)) => false,
            Some((Some(_), false)) if facts_only => !self.known.get(funnel).is_some_and(|known| known.contains(object)),
            _ => !facts_only,
        }
    }

    /// Ready, with Reconciling or Stalled, of anything but a funnel. `open`: false of what has an address outside and is not open.
    pub fn ready(&self, object: &ObjectRef, generation: i64, open: bool) -> Vec<Condition> {
        let mut conditions = Vec::new();
        let in_force = self.in_force(object);
        let stays = if in_force && open { "; what was in force stays in force" } else { "" };
        if let Some((reason, message)) = own_errors(self.findings(object)) {
            unready(&mut conditions, reason, &format!("{message}{stays}"), generation);
            return conditions;
        }
        if let Some(why) = self.open_error(object) {
            unready(&mut conditions, ConditionReason::CannotOpen, &format!("{why}{stays}"), generation);
            return conditions;
        }
        match self.users(object).find(|funnel| self.behind(funnel, object)) {
            Some(funnel) => {
                let message = format!("valid, but the funnel {} keeps what it had: see its conditions", funnel.name);
                unready(&mut conditions, ConditionReason::WaitingForFunnel, &message, generation);
            }
            None if !in_force => {
                let of = if self.used_by(object) > 0 { "no funnel that uses it is in force yet" } else { "no funnel uses it" };
                conditions.push(condition("Ready", Is::Yes, ConditionReason::NotUsed, format!("valid; {of}"), generation));
            }
            None => conditions.push(condition("Ready", Is::Yes, ConditionReason::InForce, "valid and in force", generation)),
        }
        conditions
    }

    /// Ready, with Reconciling or Stalled, of a funnel.
    pub fn funnel_ready(&self, object: &ObjectRef, generation: i64) -> Vec<Condition> {
        let mut conditions = Vec::new();
        let funnel = key_of(object);
        let (revision, current) = self.funnels.get(&funnel).copied().unwrap_or((None, false));
        let in_force = match revision {
            Some(revision) => match self.stopped.get(&funnel) {
                Some(stops) => format!("revision {revision} stays in force, stopped: {}", stops.join(", ")),
                None => format!("revision {revision} stays in force"),
            },
            None => "nothing is in force yet".to_owned(),
        };
        if let (Some(revision), true) = (revision, current) {
            conditions.push(condition(
                "Ready",
                Is::Yes,
                ConditionReason::InForce,
                format!("revision {revision} is in force"),
                generation,
            ));
            return conditions;
        }
        let (reason, message) = own_errors(self.findings(object)).unwrap_or_else(|| {
            let mut resources = self.names.get(&funnel).into_iter().flatten();
            let broken = resources.find_map(|named| Some((named, first_error(self.findings(named))?)));
            let message = match broken {
                Some((named, error)) => format!("{} {}: {error}", named.kind, named.name),
                None => "what it names is not valid".to_owned(),
            };
            (ConditionReason::ReferenceInvalid, message)
        });
        unready(&mut conditions, reason, &format!("{message}; {in_force}"), generation);
        conditions
    }
}

/// Whether an object's own errors heal by themselves, and the first of them.
fn own_errors(findings: &[Finding]) -> Option<(ConditionReason, String)> {
    let message = first_error(findings)?;
    let missing =
        |finding: &Finding| matches!(finding.reason, Reason::NotFound | Reason::SecretNotFound | Reason::ConfigMapNotFound);
    let heals = findings.iter().filter(|finding| finding.is_error()).all(missing);
    Some((if heals { ConditionReason::WaitingForReference } else { ConditionReason::Invalid }, message))
}

fn sms_parts(reading: &Reading, used: &BTreeMap<ObjectRef, BTreeSet<FunnelKey>>, plans: &Plans) -> BTreeMap<ObjectRef, u32> {
    let mut parts = BTreeMap::new();
    for (list, users) in used.iter().filter(|(object, _)| object.kind == "ContentList") {
        for live in users.iter().filter_map(|funnel| plans.get(funnel)) {
            let crm = reading.snapshot.objects.iter().find(|object| {
                object.kind == "CrmConnection" && object.namespace == list.namespace && object.name == live.plan.connection
            });
            let fields: Vec<Field> =
                crm.and_then(|crm| serde_json::from_value(crm.value["spec"]["fields"].clone()).ok()).unwrap_or_default();
            let longest = longest_sms(&live.texts, &list.name, &live.plan.policy.brand_title, &fields);
            let known = parts.entry(list.clone()).or_insert(0);
            *known = longest.unwrap_or(0).max(*known);
        }
    }
    parts
}
