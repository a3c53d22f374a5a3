//! Events: what a person would want to know. Told when something turns, never one for each deal, never personal data.

use super::{
    Control,
    conditions::first_error,
    standing::{Standing, key_of},
};
use crate::{
    compile::ObjectRef,
    model::FunnelKey,
    source::{Happening, Seen, Weight},
};
use serde_json::Value;
use std::collections::BTreeSet;

/// That many opt-outs of a day, and this share of those contacted, are a spike.
const SPIKE: i64 = 5;
const SPIKE_SHARE: f64 = 0.05;

impl Control {
    /// After a publication: what was edited, and whom it reaches.
    pub(super) async fn edited(&self, before: Option<&Standing>, after: &Standing) {
        let Some(before) = before else { return };
        for (object, seen) in &after.reading.seen {
            let old = before.reading.seen.get(object);
            let edited = old.is_some_and(|old| old.uid == seen.uid && old.generation != seen.generation);
            let error = first_error(after.findings(object));
            // Its old settings go on, and health has nothing to tell.
            if let Some(why) = after.open_error(object)
                && before.open_error(object) != Some(why)
                && self.engine.adapters().channels.contains_key(&format!("{}/{}", object.namespace, object.name))
            {
                let word = super::ConditionReason::CannotOpen.as_str();
                self.say(object, seen, Weight::Warning, word, "Publish", why.to_owned()).await;
            }
            if let Some(error) = &error
                && (edited || old.is_none() || first_error(before.findings(object)).as_ref() != Some(error))
            {
                let word = after.error_reason(object).map_or("Invalid", super::ConditionReason::as_str);
                self.say(object, seen, Weight::Warning, word, "Compile", error.clone()).await;
            } else if edited && error.is_none() && object.kind == "ContentList" {
                let items = changed_items(before, after, object);
                let waiting = self.waiting(after, object).await;
                let note = format!("{items}; {waiting} deals stand in stages that use this list; what is already sent stays sent");
                self.say(object, seen, Weight::Normal, "ContentChanged", "Publish", note).await;
            }
        }
    }

    /// After a status was written: what turned.
    pub(super) async fn changed(&self, object: &ObjectRef, seen: &Seen, before: &Value, after: &Value) {
        let (was, is) = (condition(before, "Healthy"), condition(after, "Healthy"));
        if is.0 == "False" && was.0 != "False" {
            self.say(object, seen, Weight::Warning, reason(&is.1), "Watch", is.2).await;
        } else if is.0 == "True" && was.0 == "False" {
            self.say(object, seen, Weight::Normal, "Recovered", "Watch", is.2).await;
        }
        let (was, is) = (condition(before, "Suspended"), condition(after, "Suspended"));
        if is.0 == "True" && (was.0 != "True" || was.1 != is.1) {
            self.say(object, seen, Weight::Normal, reason(&is.1), "Stop", is.2).await;
        } else if is.0 == "False" && was.0 == "True" {
            self.say(object, seen, Weight::Normal, "Resumed", "Stop", is.2).await;
        }
        let number = |status: &Value, path: &str| status.pointer(path).and_then(Value::as_i64);
        if number(before, "/copies/revived") == Some(0)
            && number(after, "/copies/revived").is_some_and(|n| n > 0)
            // Those before may have been won since: that nobody stood there is not that nobody came back.
            && self.store.views.past_revivals(&key_of(object)).await.is_ok_and(|past| past == 0)
        {
            let note = "the first client came back".to_owned();
            self.say(object, seen, Weight::Normal, "FirstRevival", "Report", note).await;
        }
        let (was, is) = (spike(before), spike(after));
        if let (None | Some(false), Some(true)) = (was, is) {
            let count = number(after, "/lastMonth/unsubscribed").unwrap_or_default();
            let note = format!(
                "{count} clients opted out in 30 days, more than one in twenty of those contacted; read what they were sent"
            );
            self.say(object, seen, Weight::Warning, "UnsubscribeSpike", "Report", note).await;
        }
    }

    async fn say(&self, object: &ObjectRef, seen: &Seen, weight: Weight, reason: &'static str, action: &'static str, note: String) {
        let happening = Happening { weight, reason, action, note };
        if let Err(error) = self.cluster.tell(object, &seen.uid, &self.identity, &happening).await {
            self.metrics.api_failed("event", error.label());
            tracing::debug!(label = error.label(), reason, "an event could not be told");
        }
    }

    /// Deals in the stages whose content rules name the list.
    async fn waiting(&self, standing: &Standing, list: &ObjectRef) -> u64 {
        let mut waiting = 0;
        let now = self.engine.clock().now();
        for funnel in standing.users(list) {
            let stages = stages_with(standing, funnel, &list.name);
            if let Ok(counts) = self.store.views.counts(funnel, Some(now), now).await {
                waiting += counts.stages.iter().filter(|s| stages.contains(&s.stage)).map(|s| s.deals).sum::<u64>();
            }
        }
        waiting
    }
}

fn spec<'a>(standing: &'a Standing, object: &ObjectRef) -> Option<&'a Value> {
    let found = standing
        .reading
        .snapshot
        .objects
        .iter()
        .find(|o| o.kind == object.kind && o.namespace == object.namespace && o.name == object.name);
    found.map(|object| &object.value["spec"])
}

fn stages_with(standing: &Standing, funnel: &FunnelKey, list: &str) -> BTreeSet<String> {
    let object = standing.reading.seen.keys().find(|o| o.kind == "ReactivationFunnel" && key_of(o) == *funnel);
    let Some(spec) = object.and_then(|object| spec(standing, object)) else { return BTreeSet::new() };
    let mut found = BTreeSet::new();
    for stages in ["stalled", "warming"] {
        for stage in spec["stages"][stages].as_array().into_iter().flatten() {
            let mut rules = stage["content"].as_array().into_iter().flatten();
            if rules.any(|rule| rule["listRef"]["name"] == list) {
                found.extend(stage["name"].as_str().map(str::to_owned));
            }
        }
    }
    found
}

/// `2 of 3 items changed`.
fn changed_items(before: &Standing, after: &Standing, list: &ObjectRef) -> String {
    let items = |standing| spec(standing, list).and_then(|spec| spec["items"].as_array().cloned()).unwrap_or_default();
    let (old, new) = (items(before), items(after));
    let changed = new.iter().filter(|item| !old.contains(item)).count();
    let gone = old.iter().filter(|item| !new.iter().any(|other| other["name"] == item["name"])).count();
    let gone = if gone > 0 { format!(", {gone} removed") } else { String::new() };
    format!("{changed} of {} items new or changed{gone}", new.len())
}

/// Status, reason and message of a condition; empty where there is none.
fn condition(status: &Value, kind: &str) -> (String, String, String) {
    let found = status["conditions"].as_array().into_iter().flatten().find(|condition| condition["type"] == kind);
    let text = |field: &str| found.and_then(|condition| condition[field].as_str()).unwrap_or_default().to_owned();
    (text("status"), text("reason"), text("message"))
}

fn reason(word: &str) -> &'static str {
    super::ConditionReason::ALL.into_iter().find(|reason| reason.as_str() == word).map_or("Changed", |reason| reason.as_str())
}

#[allow(clippy::cast_precision_loss)] // a share
fn spike(status: &Value) -> Option<bool> {
    let month = status.get("lastMonth")?;
    let (contacted, unsubscribed) = (month["contacted"].as_i64()?, month["unsubscribed"].as_i64()?);
    Some(unsubscribed >= SPIKE && unsubscribed as f64 > contacted as f64 * SPIKE_SHARE)
}
