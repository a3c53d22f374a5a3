//! Conditions: building them, and keeping the moment of their last change.

use super::ConditionReason;
use crate::{api::Problem, compile::Finding};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use serde_json::Value;

/// Problems shown in a status.
pub(super) const SHOWN: usize = 20;

/// True, False or Unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Is {
    Yes,
    No,
    Unknown,
}

/// One statement about an object.
pub(super) fn condition(kind: &str, is: Is, reason: ConditionReason, message: impl Into<String>, generation: i64) -> Condition {
    let status = match is {
        Is::Yes => "True",
        Is::No => "False",
        Is::Unknown => "Unknown",
    };
    Condition {
        type_: kind.to_owned(),
        status: status.to_owned(),
        reason: reason.as_str().to_owned(),
        message: short(&message.into(), 1024),
        observed_generation: Some(generation),
        last_transition_time: Time(Timestamp::UNIX_EPOCH),
    }
}

/// How kstatus and Flux read an object that is not ready: `Reconciling` heals by itself, `Stalled` waits for a person's edit.
/// Both are absent when they do not hold.
pub(super) fn unready(conditions: &mut Vec<Condition>, reason: ConditionReason, message: &str, generation: i64) {
    let kind = if reason == ConditionReason::Invalid { "Stalled" } else { "Reconciling" };
    conditions.push(condition("Ready", Is::No, reason, message, generation));
    conditions.push(condition(kind, Is::Yes, reason, message, generation));
}

/// The moment of the last change is that of the status as it was seen before, unless it differs now.
pub(super) fn keep_times(status: &mut Value, before: &Value, now: Timestamp) {
    let old = before.get("conditions").and_then(Value::as_array).cloned().unwrap_or_default();
    for condition in status.get_mut("conditions").and_then(Value::as_array_mut).into_iter().flatten() {
        let same = old.iter().find(|o| o["type"] == condition["type"] && o["status"] == condition["status"]);
        let at = match same {
            Some(same) => same["lastTransitionTime"].clone(),
            None => serde_json::to_value(Time(now)).unwrap_or_default(),
        };
        condition["lastTransitionTime"] = at;
    }
}

/// Findings as a status shows them, errors first.
pub(super) fn problems(findings: &[Finding]) -> Vec<Problem> {
    let mut findings: Vec<&Finding> = findings.iter().collect();
    findings.sort_by_key(|finding| !finding.is_error());
    let problem = |finding: &Finding| Problem {
        path: short(&finding.path, 512),
        reason: finding.reason.as_str().to_owned(),
        message: short(&format!("{}; {}", finding.message, finding.help), 1024),
    };
    findings.into_iter().take(SHOWN).map(problem).collect()
}

/// The first error in words: where, what, and what to write; and how many more there are.
pub(super) fn first_error(findings: &[Finding]) -> Option<String> {
    let mut errors = findings.iter().filter(|finding| finding.is_error());
    let first = errors.next()?;
    let more = match errors.count() {
        0 => String::new(),
        1 => " (and 1 more problem)".to_owned(),
        n => format!(" (and {n} more problems)"),
    };
    Some(format!("{}: {}; {}{more}", first.path, first.message, first.help))
}

pub(super) fn short(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most - 1).chain(['…']).collect()
}

pub(super) fn number(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}
