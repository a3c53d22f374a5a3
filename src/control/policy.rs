//! Status of a `ContactPolicy`.

use super::{
    conditions::{number, problems},
    figures::Figures,
    standing::Standing,
};
use crate::{
    api::ContactPolicyStatus,
    compile::ObjectRef,
    engine::{Plan, periods},
    store::money_text,
};
use jiff::{Timestamp, tz::TimeZone};

pub(super) fn status(
    object: &ObjectRef,
    generation: i64,
    standing: &Standing,
    figures: &Figures,
    plan: Option<&Plan>,
    now: Timestamp,
) -> ContactPolicyStatus {
    let sent = figures.today.get(&format!("{}/{}", object.namespace, object.name)).copied().unwrap_or_default();
    ContactPolicyStatus {
        observed_generation: Some(generation),
        conditions: standing.ready(object, generation, true),
        messages_today: Some(number(sent)),
        spent_today: spent(figures, plan, |zone| periods(zone, now).0),
        spent_this_month: spent(figures, plan, |zone| periods(zone, now).1),
        problems: problems(standing.findings(object)),
    }
}

/// What was spent under the policy in that period, each currency.
fn spent(figures: &Figures, plan: Option<&Plan>, period: impl Fn(&TimeZone) -> String) -> Option<String> {
    let policy = &plan?.policy;
    let period = period(&policy.time_zone);
    let sums = figures.spent.iter().filter(|s| s.period.policy == policy.key && s.period.period == period);
    let sums: Vec<String> = sums.map(|s| format!("{} {}", money_text(s.spent), s.period.currency)).collect();
    if sums.is_empty() { None } else { Some(sums.join(", ")) }
}
