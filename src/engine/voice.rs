//! One voice: a client hears of one deal at a time.

use super::{Sibling, Subject};
use crate::model::{CopyId, Role};
use jiff::Timestamp;

/// Another deal of the client is being worked on, or has just come back to work.
pub(super) fn client_in_work(subject: &Subject) -> bool {
    subject.client.siblings.iter().any(|s| match s.role {
        Role::InWork => s.deal_open,
        // Whether it is open again already, or our move is still on its way.
        Role::Revived => true,
        _ => false,
    })
}

/// Another warm deal of the client comes first: the one whose cycle began earliest, then the one we have known longest. Stalled
/// deals lead nobody: most have no content, and would silence the rest for ever.
pub(super) fn other_leads(subject: &Subject) -> bool {
    let copy = &subject.copy;
    let mine = (copy.role != Role::Warming, rank(copy.state.cycle_at, copy.id));
    warm(subject).any(|s| (false, rank(s.cycle_at, s.copy)) < mine)
}

/// Another warm deal of the client is to be heard before this one: the leader of those that still have something to say. A deal whose
/// journey is through silences nobody, and waits in its turn if its list grows.
pub(super) fn other_speaks(subject: &Subject) -> bool {
    let copy = &subject.copy;
    let mine = (copy.role != Role::Warming || !copy.state.speaks(), rank(copy.state.cycle_at, copy.id));
    warm(subject).filter(|s| s.speaks).any(|s| (false, rank(s.cycle_at, s.copy)) < mine)
}

fn warm(subject: &Subject) -> impl Iterator<Item = &Sibling> {
    subject.client.siblings.iter().filter(|s| s.role == Role::Warming)
}

fn rank(cycle_at: Option<Timestamp>, copy: CopyId) -> (bool, Option<Timestamp>, CopyId) {
    (cycle_at.is_none(), cycle_at, copy)
}
