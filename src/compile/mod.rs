//! Parse, don't validate: a [`Snapshot`] of raw resources becomes [`FunnelSnapshot`]s, [`Wiring`] and [`Finding`]s, the whole set at
//! once, in this one place; [`compile_funnel`] makes a plan and texts of one funnel, today's or a stored one. The operator, `run -f`,
//! `validate` and the webhook share it. Pure.

mod channel;
mod connection;
mod date;
mod finding;
mod funnel;
mod holidays;
mod list;
mod longest;
mod names;
mod policy;
mod provider;
mod resources;
mod rule;
mod snapshot;
mod stage;
mod stops;
#[cfg(test)]
mod tests;
mod text;
mod time;
mod wiring;

pub use finding::{Finding, ObjectRef, Reason, Severity};
pub use funnel::{ChannelFacts, Compiled, ConnectionFacts, FunnelSnapshot, compile_funnel};
pub use longest::{longest_client, longest_sms};
pub use snapshot::{Origin, Snapshot, SourceObject};
pub use stops::Stops;
pub use wiring::*;

use crate::api::ContentListSpec;
use crate::content::MAX_BODY;
use crate::model::{FunnelKey, Mode};
use finding::Findings;
use jiff::Timestamp;
use resources::{Key, Resources};
use std::collections::{BTreeMap, BTreeSet};

/// What a set of resources means.
#[derive(Debug, Default)]
pub struct Output {
    /// Funnels without any error in what they refer to. One that is missing here keeps its last good revision.
    pub funnels: BTreeMap<FunnelKey, FunnelSnapshot>,
    /// Connections and channels without errors. One that is missing here keeps its last good settings.
    pub wiring: Wiring,
    /// For funnels that keep their last good revision: they are stopped all the same.
    pub stops: Stops,
    /// Everything to put right, by object and path, each once.
    pub findings: Vec<Finding>,
}

impl Output {
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.findings.iter().any(Finding::is_error)
    }
}

/// Checks a whole set of resources and takes apart what can run. One bad resource never stops those that do not need it.
#[must_use]
pub fn compile(snapshot: &Snapshot) -> Output {
    let mut out = Output::default();
    let all = Resources::of(snapshot, &mut out.findings);
    out.stops = Stops::of(&all);
    let mut used = Used::default();
    for (key, resource) in &all.connections {
        let mut found = Findings::of("CrmConnection", &key.0, &key.1);
        if let Some(wiring) = connection::connection(resource, &all, &mut found)
            && !found.failed()
        {
            out.wiring.connections.insert(wiring.key.clone(), wiring);
        }
        out.findings.append(&mut found.list);
    }
    let broken = all.broken.iter().filter(|(kind, _)| *kind == "MessageChannel").map(|(_, key)| key);
    out.wiring.declared = all.channels.keys().chain(broken).map(|(namespace, name)| format!("{namespace}/{name}")).collect();
    for (key, resource) in &all.channels {
        let mut found = Findings::of("MessageChannel", &key.0, &key.1);
        if let Some(wiring) = channel::channel(resource, &all, &mut found)
            && !found.failed()
        {
            out.wiring.prices.extend(channel::price(&resource.spec).map(|price| (wiring.key.clone(), price)));
            out.wiring.channels.insert(wiring.key.clone(), wiring);
        }
        out.findings.append(&mut found.list);
    }
    let lists = lists(&all, &mut out.findings);
    for key in all.funnels.keys() {
        funnel(key, &all, &lists, &mut used, &mut out);
    }
    policies_alone(&all, &used, &mut out.findings);
    ranked(&all, &mut out.findings);
    lists_alone(&all, &lists, &used, &mut out.findings);
    used.warn(&all, &mut out.findings);
    out.findings.sort_by(|a, b| (&a.object, natural(&a.path)).cmp(&(&b.object, natural(&b.path))));
    out.findings.dedup();
    out
}

/// Which resources some funnel names.
#[derive(Default)]
struct Used {
    connections: BTreeSet<Key>,
    channels: BTreeSet<Key>,
    policies: BTreeSet<Key>,
    lists: BTreeSet<Key>,
    /// Connection → (funnel, its field for deputies).
    deputies: BTreeMap<Key, (String, String)>,
}

/// Lists with bodies from `ConfigMaps` in place.
fn lists(all: &Resources<'_>, findings: &mut Vec<Finding>) -> BTreeMap<Key, ContentListSpec> {
    let mut lists = BTreeMap::new();
    for (key, resource) in &all.lists {
        let mut found = Findings::of("ContentList", &key.0, &key.1);
        let mut spec = resource.spec.clone();
        for (i, item) in spec.items.iter_mut().enumerate() {
            let main = item.email.iter_mut().map(|e| (e, format!("spec.items[{i}].email")));
            let variants = item.variants.iter_mut().enumerate();
            let variants = variants.filter_map(|(v, o)| Some((o.email.as_mut()?, format!("spec.items[{i}].variants[{v}].email"))));
            let others = item.translations.iter_mut().enumerate();
            let others = others.filter_map(|(t, o)| Some((o.email.as_mut()?, format!("spec.items[{i}].translations[{t}].email"))));
            for (email, path) in main.chain(variants).chain(others) {
                let Some(map) = email.body_from.as_ref().map(|b| b.config_map.clone()) else { continue };
                if email.markdown.is_some() || email.html.is_some() {
                    continue;
                }
                if let Some(bytes) = all.config_map(&key.0, &map.name, &map.key, &format!("{path}.bodyFrom.configMap"), &mut found)
                {
                    let body = String::from_utf8_lossy(&bytes).into_owned();
                    let length = body.chars().count();
                    if length > MAX_BODY {
                        found.error(
                            &format!("{path}.bodyFrom.configMap"),
                            Reason::InvalidValue,
                            format!("the body is {length} characters long, more than {MAX_BODY}"),
                            "shorten it, and keep pictures and styles outside of it",
                        );
                        continue;
                    }
                    text::place(email, body);
                }
            }
        }
        findings.append(&mut found.list);
        lists.insert(key.clone(), spec);
    }
    lists
}

/// One funnel: what it names must exist and be sound.
fn funnel(key: &Key, all: &Resources<'_>, lists: &BTreeMap<Key, ContentListSpec>, used: &mut Used, out: &mut Output) {
    let Some(resource) = all.funnels.get(key) else { return };
    let (namespace, spec) = (&key.0, &resource.spec);
    let mut found = Findings::of("ReactivationFunnel", namespace, &key.1);
    let at = |name: &str| (namespace.clone(), name.to_owned());
    // (kind, its key) of all that the funnel rests on.
    let mut needs: Vec<(&str, Key)> = Vec::new();

    let connection = at(&spec.source.crm_ref.name);
    named("CrmConnection", &connection, &all.connections, all, "spec.source.crmRef.name", &mut found);
    let policy = at(&spec.policy_ref.name);
    named("ContactPolicy", &policy, &all.policies, all, "spec.policyRef.name", &mut found);
    let mut channels = BTreeMap::new();
    for (i, entry) in spec.channels.iter().enumerate() {
        let key = at(&entry.reference.name);
        named("MessageChannel", &key, &all.channels, all, &format!("spec.channels[{i}].ref.name"), &mut found);
        if let Some(channel) = all.channels.get(&key) {
            channels.insert(key.1.clone(), ChannelFacts::of(&channel.spec));
            if spec.mode == Mode::Live && !channel.spec.test_recipients.is_empty() {
                found.warn(
                    &format!("spec.channels[{i}]"),
                    Reason::Conflict,
                    format!(
                        "the funnel is Live, but {} sends to its testRecipients only: what is due to others fails for good",
                        key.1
                    ),
                    "leave testRecipients out, or go back to mode: Observe until you have",
                );
            }
        }
        used.channels.insert(key.clone());
        needs.push(("MessageChannel", key));
    }
    let stages = &spec.stages;
    let cold = [("stalled", &stages.stalled), ("warming", &stages.warming)].into_iter().flat_map(|(kind, list)| {
        list.iter().enumerate().map(move |(i, stage)| (format!("spec.stages.{kind}[{i}]"), &stage.content))
    });
    let mut contents = BTreeMap::new();
    for (path, rules) in cold.chain(stages.customer.iter().map(|c| ("spec.stages.customer".to_owned(), &c.content))) {
        for (i, rule) in rules.iter().enumerate() {
            let key = at(&rule.list_ref.name);
            named("ContentList", &key, lists, all, &format!("{path}.content[{i}].listRef.name"), &mut found);
            if let Some(list) = lists.get(&key) {
                contents.insert(key.1.clone(), list.clone());
            }
            used.lists.insert(key.clone());
            needs.push(("ContentList", key));
        }
    }
    used.connections.insert(connection.clone());
    used.policies.insert(policy.clone());
    deputy(key, &connection, spec.managers.deputy_field.as_ref(), used, &mut out.wiring, &mut found);
    if let (Some(crm), Some(rules)) = (all.connections.get(&connection), all.policies.get(&policy)) {
        let snapshot = FunnelSnapshot {
            namespace: namespace.clone(),
            name: key.1.clone(),
            spec: spec.clone(),
            connection: ConnectionFacts::of(&crm.spec),
            policy: rules.spec.clone(),
            channels,
            lists: contents,
            held_back: false,
        };
        let (_, mut findings) = funnel::build(&snapshot, 0, Timestamp::UNIX_EPOCH, false);
        // A reference that leads nowhere was told above, with all its neighbours.
        findings.retain(|f| !(f.reason == Reason::NotFound && f.object == found.object));
        needs.push(("CrmConnection", connection));
        needs.push(("ContactPolicy", policy));
        let unsound = |finding: &Finding| {
            finding.is_error()
                && needs.iter().any(|(kind, key)| {
                    finding.object.kind == *kind && finding.object.namespace == key.0 && finding.object.name == key.1
                })
        };
        if !found.failed() && !findings.iter().any(Finding::is_error) && !out.findings.iter().any(unsound) {
            out.funnels.insert(snapshot.key(), snapshot);
        }
        out.findings.append(&mut findings);
    }
    out.findings.append(&mut found.list);
}

fn named<T>(kind: &'static str, key: &Key, known: &BTreeMap<Key, T>, all: &Resources<'_>, path: &str, found: &mut Findings) {
    if known.contains_key(key) {
        return;
    }
    if all.broken.iter().any(|(k, broken)| *k == kind && broken == key) {
        found.error(path, Reason::NotFound, format!("the {kind} {} cannot be read", key.1), "put right what is said about it");
        return;
    }
    funnel::missing(kind, &key.1, path, known.keys().filter(|k| k.0 == key.0).map(|k| &k.1), found);
}

/// The funnel's own word for who stands in for a manager is a column of the connection's file.
fn deputy(funnel: &Key, connection: &Key, field: Option<&String>, used: &mut Used, wiring: &mut Wiring, found: &mut Findings) {
    let Some(field) = field else { return };
    let path = "spec.managers.deputyField";
    if let Some((other, theirs)) = used.deputies.get(connection) {
        if theirs != field {
            found.error(
                path,
                Reason::Conflict,
                format!("the funnel {other} reads deputies of the same connection from {theirs}"),
                "name the same field in both",
            );
        }
        return;
    }
    used.deputies.insert(connection.clone(), (funnel.1.clone(), field.clone()));
    let Some(entry) = wiring.connections.get_mut(&format!("{}/{}", connection.0, connection.1)) else { return };
    let ConnectionKind::File(file) = &mut entry.kind;
    match file.manager_columns.get("deputy") {
        Some(declared) if declared != field => {
            found.error(
                path,
                Reason::Conflict,
                format!("the connection reads deputies from {declared} (file.managerColumns.deputy)"),
                "leave deputyField out, or name the same column",
            );
        }
        _ => {
            file.manager_columns.insert("deputy".into(), field.clone());
        }
    }
}

/// Policies that no funnel uses are checked all the same.
fn policies_alone(all: &Resources<'_>, used: &Used, findings: &mut Vec<Finding>) {
    for (key, resource) in all.policies.iter().filter(|(key, _)| !used.policies.contains(*key)) {
        let mut found = Findings::of("ContactPolicy", &key.0, &key.1);
        policy::policy(&key.1, &resource.spec, &mut found);
        findings.append(&mut found.list);
    }
}

/// Funnels that a policy ranks and that are not there, or follow another policy: a typing error would put them last in silence.
fn ranked(all: &Resources<'_>, findings: &mut Vec<Finding>) {
    for (key, resource) in &all.policies {
        let mut found = Findings::of("ContactPolicy", &key.0, &key.1);
        let theirs =
            || all.funnels.iter().filter(|(k, f)| k.0 == key.0 && f.spec.policy_ref.name == key.1).map(|(k, _)| k.1.as_str());
        for (i, place) in resource.spec.priorities.iter().enumerate() {
            let broken = all.broken.iter().any(|(kind, k)| *kind == "ReactivationFunnel" && k.0 == key.0 && k.1 == place.funnel);
            if !broken && !theirs().any(|name| name == place.funnel) {
                found.warn(
                    &format!("spec.priorities[{i}].funnel"),
                    Reason::NotFound,
                    format!("no funnel {} names this policy", place.funnel),
                    finding::suggest(&place.funnel, theirs()),
                );
            }
        }
        findings.append(&mut found.list);
    }
}

/// Lists that no funnel uses are checked as far as that is possible: with all fields that connections of the namespace declare.
fn lists_alone(all: &Resources<'_>, lists: &BTreeMap<Key, ContentListSpec>, used: &Used, findings: &mut Vec<Finding>) {
    for (key, spec) in lists.iter().filter(|(key, _)| !used.lists.contains(*key)) {
        let fields: Vec<_> =
            all.connections.iter().filter(|(k, _)| k.0 == key.0).flat_map(|(_, c)| c.spec.fields.clone()).collect();
        let mut found = Findings::of("ContentList", &key.0, &key.1);
        let mut nobody = Findings::of("ReactivationFunnel", &key.0, "");
        let names = names::Names::of(&fields);
        let scope = list::For {
            names: &names,
            fields: &fields,
            policy: None,
            channels: &[],
            all_channels: false,
            funnel: "",
            brand_title: "",
        };
        list::list(&key.1, spec, &scope, &mut found, &mut nobody);
        findings.append(&mut found.list);
    }
}

impl Used {
    fn warn(&self, all: &Resources<'_>, findings: &mut Vec<Finding>) {
        let kinds: [(&str, Vec<&Key>, &BTreeSet<Key>, &str); 4] = [
            ("CrmConnection", all.connections.keys().collect(), &self.connections, "spec.source.crmRef"),
            ("MessageChannel", all.channels.keys().collect(), &self.channels, "spec.channels"),
            ("ContactPolicy", all.policies.keys().collect(), &self.policies, "spec.policyRef"),
            ("ContentList", all.lists.keys().collect(), &self.lists, "content of a stage"),
        ];
        for (kind, known, used, place) in kinds {
            // Where a funnel cannot be read, or names one that is not there, nobody knows what is meant to be used.
            let meant = |namespace: &str| {
                all.broken.iter().any(|(kind, key)| *kind == "ReactivationFunnel" && key.0 == namespace)
                    || used.iter().any(|key| key.0 == namespace && !known.contains(&key))
            };
            for key in known.iter().copied().filter(|key| !used.contains(*key) && !meant(&key.0)) {
                let mut found = Findings::of(kind, &key.0, &key.1);
                found.warn(
                    "metadata.name",
                    Reason::Unused,
                    format!("no funnel uses the {kind} {}", key.1),
                    format!("name it in a funnel's {place}, or remove it"),
                );
                findings.append(&mut found.list);
            }
        }
    }
}

/// `items[10]` after `items[9]`.
fn natural(path: &str) -> Vec<(u64, String)> {
    path.split(['[', ']']).map(|part| (part.parse().unwrap_or(0), part.to_owned())).collect()
}
