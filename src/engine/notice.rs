//! Whom to tell: the deal's manager, or who stands in for them.

use super::{Plan, Subject};
use crate::model::{Manager, ManagerId};
use jiff::Timestamp;

/// Owner → deputy while the owner is absent → supervisor → fallback; an absent owner when there is nobody else.
pub(super) fn manager(plan: &Plan, subject: &Subject, now: Timestamp) -> Option<ManagerId> {
    let present = |m: &&Manager| m.absent_until.is_none_or(|until| until <= now);
    let someone = [&subject.manager, &subject.deputy, &subject.supervisor].into_iter().flatten().find(present);
    someone.map(|m| m.id.clone()).or_else(|| fallback(plan)).or_else(|| subject.deal.manager.clone())
}

/// Supervisor → fallback.
pub(super) fn supervisor(plan: &Plan, subject: &Subject) -> Option<ManagerId> {
    subject.supervisor.as_ref().map(|m| m.id.clone()).or_else(|| fallback(plan))
}

fn fallback(plan: &Plan) -> Option<ManagerId> {
    plan.managers.fallback.clone().map(ManagerId)
}
