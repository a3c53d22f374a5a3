//! Status of a `CrmConnection`.

use super::{
    ConditionReason,
    conditions::{Is, condition, number, problems, short},
    figures::Figures,
    standing::Standing,
};
use crate::{
    api::{CrmConnectionStatus, PipelineFound, Problem},
    compile::ObjectRef,
    store::{Cursor, MOST_PIPELINES},
    workers::Adapters,
};
use jiff::{RoundMode, Timestamp, TimestampRound, Unit};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use std::collections::BTreeSet;

pub(super) fn status(
    object: &ObjectRef,
    generation: i64,
    standing: &Standing,
    figures: &Figures,
    adapters: &Adapters,
) -> CrmConnectionStatus {
    let key = format!("{}/{}", object.namespace, object.name);
    let mut conditions = standing.ready(object, generation, adapters.connections.contains_key(&key));
    let cursor = figures.cursors.get(&key);
    let (is, reason, message) = health(object, standing, figures, adapters);
    conditions.push(condition("Healthy", is, reason, message, generation));
    let mut problems = problems(standing.findings(object));
    for found in cursor.into_iter().flat_map(|cursor| &cursor.findings) {
        let example = found.examples.first().map(|example| format!(", like {example}")).unwrap_or_default();
        problems.push(Problem {
            path: short(&found.kind, 512),
            reason: "BadRows".to_owned(),
            message: short(&format!("{} rows{example}", found.count), 1024),
        });
    }
    problems.truncate(20);
    CrmConnectionStatus {
        observed_generation: Some(generation),
        conditions,
        last_read_at: cursor.and_then(|cursor| cursor.read_at).and_then(minute).map(Time),
        deals: cursor.filter(|cursor| cursor.complete).map(|cursor| number(cursor.rows)),
        pipelines: cursor.map(pipelines).unwrap_or_default(),
        problems,
    }
}

fn pipelines(cursor: &Cursor) -> Vec<PipelineFound> {
    let found = |(title, stages): (&String, &BTreeSet<String>)| PipelineFound {
        title: short(title, 256),
        stages: stages.iter().take(100).map(|stage| short(stage, 256)).collect(),
    };
    cursor.pipelines.iter().take(MOST_PIPELINES).map(found).collect()
}

/// Whether the CRM can be read.
pub(super) fn health(
    object: &ObjectRef,
    standing: &Standing,
    figures: &Figures,
    adapters: &Adapters,
) -> (Is, ConditionReason, String) {
    let key = format!("{}/{}", object.namespace, object.name);
    if !adapters.connections.contains_key(&key) {
        let closed = standing.not_open(object, "nothing is read, and what the last reading said is soon too old to send by");
        if closed.0 == Is::No {
            return closed;
        }
    }
    match figures.cursors.get(&key) {
        Some(Cursor { error: Some(error), .. }) => {
            (Is::No, ConditionReason::ReadFailed, format!("the last reading failed: {error}"))
        }
        Some(Cursor { read_at: Some(_), .. }) => (Is::Yes, ConditionReason::Working, "it is read".to_owned()),
        _ => (Is::Unknown, ConditionReason::NotReadYet, "it was not read yet".to_owned()),
    }
}

/// To the minute: a connection that is read every second is no reason for a write every second.
fn minute(at: Timestamp) -> Option<Timestamp> {
    at.round(TimestampRound::new().smallest(Unit::Minute).mode(RoundMode::Trunc)).ok()
}
