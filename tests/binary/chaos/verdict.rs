//! What a run came to: the ledger against what the sinks wrote down for themselves.

use super::{
    ledger::{Entry, letter, text_to},
    sinks::{Book, Place},
    town::{SLOTS, SMS_SLOTS, Town},
};
use rekindle::model::EffectStatus;
use std::collections::{BTreeMap, BTreeSet};

/// Everything that is known when all is at rest.
#[derive(Clone)]
pub struct Evidence {
    pub lost: usize,
    pub book: Book,
    pub ledger: BTreeMap<Place, Entry>,
    pub takeovers: usize,
    /// How often a process stood still, so that its own clock may have run out while the answer was there.
    pub stops: usize,
    /// Unclear messages that `rekindle resolve` lists.
    pub listed: usize,
}

/// A promise that was broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Broken {
    /// A sink has a message twice, by its key or by its address and item.
    Twice,
    /// A later attempt at a message had another text.
    OtherText,
    /// A message that should be there is in no state, or in two.
    Lost,
    /// The ledger calls accepted what no sink has.
    NotThere,
    /// A sink has what the ledger does not know of, or calls not sent.
    NotKnown,
    /// The ledger calls refused what nobody refused.
    NotRefused,
    /// Unclear although nothing happened that could explain it.
    Unexplained,
    /// More are unclear than take-overs can have left.
    TooMany,
    /// Unclear, and shown to nobody.
    Hidden,
}

/// Nobody could tell because its process was gone, or because of what a provider said.
pub const INTERRUPTED: &str = "Interrupted";

/// What an SMS says that had no answer within the time-out: also one whose process stood still for longer.
const OUTWAITED: &str = "no answer in time";

impl Evidence {
    pub fn of(town: &mut Town, stops: usize) -> Self {
        let listed = town.world.command(&["resolve", "-o", "json"]);
        let listed: serde_json::Value = serde_json::from_slice(&listed.stdout).unwrap_or_default();
        Self {
            lost: town.lost,
            book: town.sinks.book().clone(),
            ledger: town.ledger.messages(),
            stops,
            takeovers: town.ledger.epoch().unwrap_or(0),
            listed: listed.as_array().map_or(0, Vec::len),
        }
    }

    fn unclear(&self) -> impl Iterator<Item = (&Place, &Entry)> {
        self.ledger.iter().filter(|(_, entry)| entry.status == EffectStatus::Unknown)
    }

    pub fn count(&self, status: EffectStatus) -> usize {
        self.ledger.values().filter(|entry| entry.status == status).count()
    }

    /// Unclear because a process was gone, and because a provider left us in doubt.
    pub fn unclear_by_cause(&self) -> (usize, usize) {
        let interrupted = self.unclear().filter(|(_, entry)| entry.reason == INTERRUPTED).count();
        (interrupted, self.unclear().count() - interrupted)
    }

    /// Broken promises with an example of each.
    pub fn broken(&self) -> BTreeMap<Broken, String> {
        let mut broken = BTreeMap::new();
        let mut say = |what: Broken, example: String| {
            broken.entry(what).or_insert(example);
        };
        for (key, times) in self.book.keys.iter().filter(|(_, times)| **times > 1) {
            say(Broken::Twice, format!("{key} {times} times"));
        }
        for (place, times) in self.book.places.iter().filter(|(_, times)| **times > 1) {
            say(Broken::Twice, format!("{place:?} {times} times; the ledger: {:?}", self.ledger.get(place)));
        }
        for (key, texts) in self.book.texts.iter().filter(|(_, texts)| texts.len() > 1) {
            say(Broken::OtherText, format!("{key}: {texts:?}"));
        }
        let planned: BTreeSet<Place> =
            (0..i64::try_from(self.lost).unwrap_or(0)).flat_map(|deal| [letter(deal), text_to(deal)]).collect();
        for place in &planned {
            match self.ledger.get(place) {
                Some(entry) if entry.status.terminal() && entry.rows == 1 => {}
                other => say(Broken::Lost, format!("{place:?}: {other:?}")),
            }
        }
        let mut outwaited = 0;
        for (place, entry) in &self.ledger {
            let there = self.book.places.contains_key(place);
            let refused = self.book.refused.contains(place);
            let doubted = self.book.doubts.contains_key(place);
            match entry.status {
                EffectStatus::Accepted | EffectStatus::Delivered if !there => {
                    say(Broken::NotThere, format!("{place:?}: {entry:?}"));
                }
                EffectStatus::Skipped | EffectStatus::Failed | EffectStatus::Expired if there => {
                    say(Broken::NotKnown, format!("{place:?}: {entry:?}"));
                }
                EffectStatus::Skipped | EffectStatus::Failed | EffectStatus::Expired if !refused => {
                    say(Broken::NotRefused, format!("{place:?}: {entry:?}"));
                }
                EffectStatus::Unknown if entry.reason == OUTWAITED && !doubted => {
                    outwaited += 1;
                    if outwaited > self.stops * SMS_SLOTS {
                        say(
                            Broken::Unexplained,
                            format!("{outwaited} waited in vain, after {} stops; {place:?}: {entry:?}", self.stops),
                        );
                    }
                }
                EffectStatus::Unknown if entry.reason != INTERRUPTED && !doubted => {
                    say(Broken::Unexplained, format!("{place:?}: {entry:?}"));
                }
                _ => {}
            }
        }
        for place in self.book.places.keys().filter(|place| !self.ledger.contains_key(*place) || !planned.contains(*place)) {
            say(Broken::NotKnown, format!("{place:?} is at a sink and nowhere in the ledger"));
        }
        let (interrupted, doubted) = self.unclear_by_cause();
        // Whoever takes the lease over calls unclear what the former owner had under way, and that had room for so many.
        if interrupted > self.takeovers * SLOTS {
            say(Broken::TooMany, format!("{interrupted} after {} take-overs, at most {SLOTS} each", self.takeovers));
        }
        if self.listed != interrupted + doubted {
            say(Broken::Hidden, format!("{} are unclear and {} are listed", interrupted + doubted, self.listed));
        }
        broken
    }
}
