//! Status of a `MessageChannel`.

use super::{
    ConditionReason,
    conditions::{Is, condition, number, problems},
    figures::{Figures, fates},
    standing::Standing,
};
use crate::{
    api::MessageChannelStatus,
    compile::ObjectRef,
    store::{Hold, HoldScope},
    workers::Adapters,
};
use jiff::Timestamp;
use serde_json::Value;

pub(super) fn status(
    object: &ObjectRef,
    spec: &Value,
    generation: i64,
    standing: &Standing,
    figures: &Figures,
    adapters: &Adapters,
    now: Timestamp,
) -> MessageChannelStatus {
    let key = format!("{}/{}", object.namespace, object.name);
    let mut conditions = standing.ready(object, generation, adapters.channels.contains_key(&key));
    let (is, reason, message) = health(object, standing, figures, adapters, now);
    conditions.push(condition("Healthy", is, reason, message, generation));
    let rows = figures.messages.get(&key).map_or(&[][..], Vec::as_slice);
    let (sent, failed, _) = fates(rows.iter().map(|(status, n)| (status.as_str(), *n)));
    let counts = figures.channels.get(&key);
    MessageChannelStatus {
        observed_generation: Some(generation),
        conditions,
        medium: Some(if spec.get("sms").is_some() { "Sms" } else { "Email" }.to_owned()),
        sent: Some(number(sent)),
        failed: Some(number(failed)),
        ambiguous: Some(counts.map_or(0, |counts| number(counts.ambiguous))),
        waiting: Some(counts.map_or(0, |counts| number(counts.waiting))),
        problems: problems(standing.findings(object)),
    }
}

/// Whether its providers take messages.
pub(super) fn health(
    object: &ObjectRef,
    standing: &Standing,
    figures: &Figures,
    adapters: &Adapters,
    now: Timestamp,
) -> (Is, ConditionReason, String) {
    let key = format!("{}/{}", object.namespace, object.name);
    let held = |hold: &&Hold| matches!(&hold.scope, HoldScope::Channel(channel) if *channel == key);
    if let Some(hold) = figures.holds.iter().find(held) {
        return (Is::No, ConditionReason::Held, format!("held since {} by rekindle hold: {}", hold.since, hold.reason));
    }
    let Some(channel) = adapters.channels.get(&key) else {
        return standing.not_open(object, "messages wait");
    };
    if let Some((until, why)) = channel.paused(now) {
        let message = format!("{why}; messages wait, it is tried again at {}", until.strftime("%H:%M:%SZ"));
        return (Is::No, ConditionReason::ProviderDown, message);
    }
    if let Some((since, why)) = channel.refused() {
        let message = format!("{why}; nothing was taken since {since:.0}, and it counts as down until something is");
        return (Is::No, ConditionReason::ProviderDown, message);
    }
    if let Some((since, why)) = channel.outage(now) {
        let message = format!("{why}; nothing was taken since {}, messages wait and are tried again", since.strftime("%H:%M:%SZ"));
        return (Is::No, ConditionReason::ProviderDown, message);
    }
    (Is::Yes, ConditionReason::Working, "its providers take messages".to_owned())
}
