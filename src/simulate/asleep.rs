//! A life between two of its moments, in as few bytes as it takes. Only what happened to it is kept; who it is, is read from the world
//! again when it wakes. A million lives that wait for a rate at the same time would take five gigabytes otherwise.

use super::{
    behaviour::Act,
    life::{Life, One},
    run::Run,
    world::World,
};
use crate::engine::{Copy, LedgerEntry, Recent, Sibling};
use crate::model::Suppression;
use jiff::Timestamp;

pub(super) struct Asleep {
    copies: Box<[Resting]>,
    elsewhere: Box<[Sibling]>,
    recent: Box<[Recent]>,
    suppressions: Box<[Suppression]>,
    acts: Box<[(Timestamp, usize, Act)]>,
}

/// A copy with what happened to it.
struct Resting {
    told: One<()>,
    copy: Copy,
    ledger: Box<[LedgerEntry]>,
}

impl Life {
    pub fn sleep(self) -> Asleep {
        let rest = |one: One| {
            let (told, subject) = one.with(());
            Resting { told, copy: subject.copy, ledger: subject.ledger.into() }
        };
        Asleep {
            copies: self.copies.into_iter().map(rest).collect(),
            elsewhere: self.elsewhere.into(),
            recent: self.recent.into(),
            suppressions: self.suppressions.into(),
            acts: self.acts.into(),
        }
    }
}

impl Asleep {
    /// `None` only when the world has lost the person, which it never does.
    pub fn wake(self, world: &World, run: &Run, person: u32) -> Option<Life> {
        let known = world.person(person)?;
        let mut copies = Vec::with_capacity(self.copies.len());
        for Resting { told, copy, ledger } in self.copies {
            let deal = known.deals.iter().find(|deal| deal.index == told.deal)?;
            let mut subject = Life::subject(world, run, &known, deal, told.plan)?;
            subject.copy = copy;
            subject.ledger = ledger.into();
            copies.push(told.with(subject).0);
        }
        Some(Life {
            person,
            copies,
            elsewhere: self.elsewhere.into(),
            recent: self.recent.into(),
            suppressions: self.suppressions.into(),
            acts: self.acts.into(),
            foreseen: None,
        })
    }
}
