//! Status of a `ReactivationFunnel`.

use super::{
    ConditionReason,
    conditions::{Is, SHOWN, condition, first_error, number, problems, short},
    crm_connection,
    figures::{Figures, FunnelFigures, fates},
    message_channel,
    standing::{Standing, key_of},
};
use crate::{
    api::{
        CopyCounts, DayFigures, MonthFigures, PostponedFigures, Problem, ReactionFigures, ReactivationFunnelStatus, StageFigures,
    },
    compile::ObjectRef,
    engine::Plan,
    model::{FunnelKey, Money, Role},
    store::{FunnelCounts, Hold, HoldScope},
    workers::{Adapters, Live, connection_key},
};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

/// What a funnel's status is made of.
pub(super) struct Facts<'a> {
    pub standing: &'a Standing,
    pub figures: &'a Figures,
    pub adapters: &'a Adapters,
    /// What is in force of it.
    pub live: Option<&'a Live>,
    /// Why the engine cannot work at all.
    pub stopped: Option<(ConditionReason, String)>,
    pub now: Timestamp,
}

pub(super) fn status(object: &ObjectRef, generation: i64, facts: &Facts<'_>) -> ReactivationFunnelStatus {
    let funnel = key_of(object);
    let mut conditions = facts.standing.funnel_ready(object, generation);
    conditions.extend(outside(&funnel, generation, facts));
    conditions.push(content_valid(&funnel, generation, facts));
    conditions.push(suspended(&funnel, generation, facts));
    let mut problems = problems(facts.standing.findings(object));
    if let Some(live) = facts.live {
        let cursor = facts.figures.cursors.get(&connection_key(&live.plan));
        let empty = cursor.and_then(|cursor| cursor.empty_pipeline(live.plan.pipeline.as_ref()?, &live.plan.connection));
        problems.extend(empty.map(|message| Problem {
            path: "spec.source.pipeline".into(),
            reason: "NotFound".into(),
            message: short(&message, 1024),
        }));
        problems.truncate(SHOWN);
    }
    let mut status = ReactivationFunnelStatus {
        observed_generation: Some(generation),
        conditions,
        revision: facts.standing.funnels.get(&funnel).and_then(|(revision, _)| *revision),
        problems,
        ..ReactivationFunnelStatus::default()
    };
    if let Some(figures) = facts.figures.funnels.get(&funnel) {
        count(&mut status, figures, facts.live.map(|live| &*live.plan));
    }
    status
}

/// `SourceReady`, `ChannelsReady`, and `Healthy`, which is both.
fn outside(funnel: &FunnelKey, generation: i64, facts: &Facts<'_>) -> Vec<Condition> {
    let source = source(funnel, facts);
    let mut channels = (Is::Yes, ConditionReason::Working, "they take messages".to_owned());
    for object in facts.standing.named(funnel, "MessageChannel") {
        let (is, reason, message) = message_channel::health(object, facts.standing, facts.figures, facts.adapters, facts.now);
        if is != Is::Yes && channels.0 != Is::No {
            channels = (is, reason, format!("{}: {message}", object.name));
        }
    }
    let healthy = match (&facts.stopped, source.0, channels.0) {
        (Some((ConditionReason::ClockWrong, why)), ..) => {
            (Is::No, ConditionReason::ClockWrong, format!("{why}: nothing is sent until they agree within a minute"))
        }
        (Some((reason, why)), ..) => (Is::No, *reason, format!("{why}; it goes on when the store is back")),
        (None, Is::Yes, Is::Yes) => (Is::Yes, ConditionReason::Working, "the CRM is read, the channels take messages".to_owned()),
        (None, Is::Yes, _) | (None, Is::Unknown, Is::No) => channels.clone(),
        (None, ..) => source.clone(),
    };
    let of = |kind, (is, reason, message)| condition(kind, is, reason, message, generation);
    vec![of("Healthy", healthy), of("SourceReady", source), of("ChannelsReady", channels)]
}

fn source(funnel: &FunnelKey, facts: &Facts<'_>) -> (Is, ConditionReason, String) {
    let Some(object) = facts.standing.named(funnel, "CrmConnection").next() else {
        return (Is::Unknown, ConditionReason::NotReadYet, "it names no CrmConnection that could be read".to_owned());
    };
    let cursor = facts.figures.cursors.get(&format!("{}/{}", object.namespace, object.name));
    let limit = facts.live.and_then(|live| live.plan.max_staleness);
    if let (Some(limit), Some(read_at)) = (limit, cursor.and_then(|cursor| cursor.read_at)) {
        let longest = jiff::SignedDuration::try_from(limit.elapsed()).unwrap_or(jiff::SignedDuration::MAX);
        if facts.now.duration_since(read_at) > longest {
            let message =
                format!("{} was last read at {read_at:.0}, longer than maxStaleness ({limit}) ago: nothing is sent", object.name);
            return (Is::No, ConditionReason::Stale, message);
        }
    }
    let (is, reason, message) = crm_connection::health(object, facts.standing, facts.figures, facts.adapters);
    (is, reason, format!("{}: {message}", object.name))
}

fn content_valid(funnel: &FunnelKey, generation: i64, facts: &Facts<'_>) -> Condition {
    for object in facts.standing.named(funnel, "ContentList") {
        if !facts.standing.reading.seen.contains_key(object) {
            let message = format!("there is no ContentList {}", object.name);
            return condition("ContentValid", Is::No, ConditionReason::WaitingForReference, message, generation);
        }
        if let Some(error) = first_error(facts.standing.findings(object)) {
            let message = format!("ContentList {}: {error}", object.name);
            return condition("ContentValid", Is::No, ConditionReason::ReferenceInvalid, message, generation);
        }
    }
    condition("ContentValid", Is::Yes, ConditionReason::Working, "every list that it names is valid", generation)
}

fn suspended(funnel: &FunnelKey, generation: i64, facts: &Facts<'_>) -> Condition {
    let held = |hold: &&Hold| match &hold.scope {
        HoldScope::All => true,
        HoldScope::Funnel(held) => held == funnel,
        HoldScope::Channel(_) => false,
    };
    let (is, reason, message) = if let Some(hold) = facts.figures.holds.iter().find(held) {
        let message = format!("held since {:.0} by rekindle hold: {}; rekindle release ends it", hold.since, hold.reason);
        (Is::Yes, ConditionReason::Held, message)
    } else if facts.live.is_some_and(|live| live.plan.suspend) {
        (Is::Yes, ConditionReason::Suspended, "spec.suspend is true: nothing is sent, signals are recorded".to_owned())
    } else if let Some(live) = facts.live.filter(|live| live.plan.policy.paused) {
        (Is::Yes, ConditionReason::PolicyPaused, format!("the ContactPolicy {} is paused", live.plan.policy.name))
    } else {
        (Is::No, ConditionReason::Running, "not stopped".to_owned())
    };
    condition("Suspended", is, reason, message, generation)
}

fn count(status: &mut ReactivationFunnelStatus, figures: &FunnelFigures, plan: Option<&Plan>) {
    let FunnelFigures { month, day, waiting_backfill } = figures;
    let mut copies = CopyCounts::default();
    let mut risk = 0;
    for stage in &month.stages {
        let deals = number(stage.deals);
        match stage.role {
            Role::InWork => copies.in_work += deals,
            Role::Stalled => copies.stalled += deals,
            Role::Warming => copies.warming += deals,
            Role::Revived => copies.revived += deals,
            Role::Unsubscribed => copies.unsubscribed += deals,
            Role::Customer => copies.customer += deals,
            Role::NotWarmed => copies.not_warmed += deals,
            Role::Backfill | Role::Archived => {}
        }
        if matches!(stage.role, Role::Stalled | Role::Warming) {
            risk = stage.amount.0.saturating_add(risk);
        }
    }
    let stage = |stage: &crate::store::StageCount| StageFigures {
        name: if stage.stage.is_empty() { stage.role.as_str().to_owned() } else { stage.stage.clone() },
        title: plan.and_then(|plan| plan.title(stage.role, &stage.stage)).map(str::to_owned),
        role: stage.role.as_str().to_owned(),
        deals: number(stage.deals),
        amount: whole(stage.amount),
    };
    status.stages = month.stages.iter().take(50).map(stage).collect();
    status.copies = Some(copies);
    status.at_risk = Some(whole(Money(risk)));
    status.rate_30d = Some(rate(month));
    status.last_month = Some(MonthFigures {
        contacted: number(month.contacted),
        revived: number(month.revived),
        organic: number(month.organic),
        assisted: number(month.assisted),
        unsubscribed: number(month.unsubscribed),
        reactions: Some(ReactionFigures {
            in_5m: number(month.reactions.in_5m),
            in_30m: number(month.reactions.in_30m),
            in_24h: number(month.reactions.in_24h),
            later: number(month.reactions.later),
            escalated: number(month.reactions.escalated),
        }),
    });
    let (sent, failed, ambiguous) = fates(day.messages.iter().map(|(_, status, n)| (status.as_str(), *n)));
    status.last_day = Some(DayFigures {
        sent: number(sent),
        failed: number(failed),
        ambiguous: number(ambiguous),
        skipped: number(day.skipped.iter().map(|(_, n)| n).sum()),
        clicks: number(day.clicks_human),
    });
    status.due = Some(number(month.due));
    status.oldest_due_at = month.oldest_due.map(|at| Time(Timestamp::from_second(at.as_second()).unwrap_or(at)));
    status.waiting_backfill = Some(number(*waiting_backfill));
    let postponed = |(reason, deals): &(String, u64)| PostponedFigures { reason: reason.clone(), deals: number(*deals) };
    status.postponed = month.postponed.iter().map(postponed).collect();
}

fn whole(money: Money) -> String {
    (money.0 / 100).to_string()
}

#[allow(clippy::cast_precision_loss)] // a percentage
fn rate(counts: &FunnelCounts) -> String {
    if counts.contacted == 0 { "-".into() } else { format!("{:.1}%", counts.revived as f64 / counts.contacted as f64 * 100.0) }
}
