//! One voice: a client hears of one deal at a time.

use super::{Sibling, Subject};
use crate::model::Role;

/// Another deal of the client is being worked on, or has just come back to work.
pub(super) fn client_in_work(subject: &Subject) -> bool {
    subject.client.siblings.iter().any(|s| match s.role {
        Role::InWork => s.deal_open,
        // Whether it is open again already, or our move is still on its way.
        Role::Revived => true,
        _ => false,
    })
}

/// Another warm deal of the client speaks first: the one whose cycle began earliest, then the one we have known longest. Stalled
/// deals lead nobody: most have no content, and would silence the rest for ever.
pub(super) fn other_leads(subject: &Subject) -> bool {
    let copy = &subject.copy;
    let mine = (copy.role != Role::Warming, copy.state.cycle_at.is_none(), copy.state.cycle_at, copy.id);
    let rank = |s: &Sibling| (false, s.cycle_at.is_none(), s.cycle_at, s.copy);
    subject.client.siblings.iter().filter(|s| s.role == Role::Warming).any(|s| rank(s) < mine)
}
