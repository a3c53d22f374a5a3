//! One voice: a client hears of one deal at a time, for each brand.

use super::{Brand, Plan, Sibling, Subject};
use crate::model::{CopyId, Mode, PostponeReason, Role};
use jiff::Timestamp;

/// In whose name a funnel speaks, and with what right: what copies of other funnels must know of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Voice {
    /// Empty: not known yet. It may then be any.
    pub brand: Brand,
    /// `namespace/name` of its policy: caps and budget are counted by it.
    pub policy: String,
    /// Its place in the policy's priorities, the first is 0.
    pub priority: i32,
    /// It sends nothing now: it only observes, or is stopped. Known to who decides; the store does not know.
    pub silent: bool,
    /// It only observes.
    pub observes: bool,
}

impl Voice {
    /// Of a funnel that its policy does not rank: it comes after all that are.
    pub const UNRANKED: i32 = i32::MAX;
}

impl Default for Voice {
    fn default() -> Self {
        Self { brand: String::new(), policy: String::new(), priority: Self::UNRANKED, silent: false, observes: false }
    }
}

/// Another deal of the client is being worked on, or has just come back to work. Whatever the brand: the client is spoken to.
pub(super) fn client_in_work(plan: &Plan, subject: &Subject) -> bool {
    // Who observes moves nothing, which is no matter for others who only observe.
    let moves = |s: &Sibling| !s.voice.observes || plan.mode != Mode::Live;
    subject.client.siblings.iter().any(|s| match s.role {
        Role::InWork => s.deal_open,
        // Whether it is open again already, or our move is still on its way.
        Role::Revived => s.deal_open || moves(s),
        _ => false,
    })
}

/// Another deal of the client is warmed or stalled: what names no deal may be about that one.
pub(super) fn others_cold(subject: &Subject) -> bool {
    subject.client.siblings.iter().any(|s| matches!(s.role, Role::Stalled | Role::Warming))
}

/// Another warm deal of the client comes first: the one whose funnel has the higher priority, then the one whose cycle began earliest,
/// then the one we have known longest. Stalled deals lead nobody: most have no content, and would silence the rest for ever. Asked
/// about a call that names no deal, and so no brand either: one deal is revived, whatever its brand.
pub(super) fn other_leads(plan: &Plan, subject: &Subject) -> bool {
    let mine = (subject.copy.role != Role::Warming, my_rank(plan, subject));
    warm(plan, subject).any(|s| (false, rank_of(s)) < mine)
}

/// Why another warm deal of the client is to be heard before this one, if one is: the leader, of those that write in the same name and
/// still have something to say. A deal whose journey is through silences nobody, and waits in its turn if its list grows.
pub(super) fn other_speaks(plan: &Plan, subject: &Subject) -> Option<PostponeReason> {
    let copy = &subject.copy;
    let mine = (copy.role != Role::Warming || !copy.state.speaks(), my_rank(plan, subject));
    let first = warm(plan, subject).filter(|s| s.speaks && same_brand(plan, s)).min_by_key(|s| rank_of(s))?;
    let why = if first.voice.priority < plan.priority { PostponeReason::LowerPriority } else { PostponeReason::OtherDealLeads };
    ((false, rank_of(first)) < mine).then_some(why)
}

/// Who sends nothing leads nobody, takes up no call and needs no room, but for others who send nothing.
fn loud<'s>(plan: &Plan, subject: &'s Subject) -> impl Iterator<Item = &'s Sibling> + use<'s> {
    let all = plan.silent();
    subject.client.siblings.iter().filter(move |s| all || !s.voice.silent)
}

/// Messages of the same policy to the same client that have a higher priority and are about to come: they take their room under the
/// caps before this one does.
pub(super) fn ahead<'s>(plan: &Plan, subject: &'s Subject) -> impl Iterator<Item = &'s super::Says> {
    let (policy, priority) = (&plan.policy.key, plan.priority);
    loud(plan, subject).filter(move |s| s.voice.policy == *policy && s.voice.priority < priority).filter_map(|s| s.says.as_ref())
}

fn same_brand(plan: &Plan, sibling: &Sibling) -> bool {
    sibling.voice.brand.is_empty() || sibling.voice.brand == plan.policy.brand
}

fn warm<'s>(plan: &Plan, subject: &'s Subject) -> impl Iterator<Item = &'s Sibling> + use<'s> {
    loud(plan, subject).filter(|s| s.role == Role::Warming)
}

/// One order over all deals of a client, so that two of them never wait for each other.
type Rank = (i32, bool, Option<Timestamp>, CopyId);

fn my_rank(plan: &Plan, subject: &Subject) -> Rank {
    rank(plan.priority, subject.copy.state.cycle_at, subject.copy.id)
}

fn rank_of(sibling: &Sibling) -> Rank {
    rank(sibling.voice.priority, sibling.cycle_at, sibling.copy)
}

const fn rank(priority: i32, cycle_at: Option<Timestamp>, copy: CopyId) -> Rank {
    (priority, cycle_at.is_none(), cycle_at, copy)
}
