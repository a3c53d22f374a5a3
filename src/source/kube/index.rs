//! What the watches have told so far: a plain map, fed synchronously.

use crate::compile::{ObjectRef, SourceObject};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};
use tokio::time::Instant;

/// What is known of an object beside its content.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Seen {
    pub uid: String,
    pub generation: i64,
    /// As the API server has it.
    pub status: Value,
}

/// One thing that a watch told.
#[derive(Clone)]
pub(super) enum Item {
    /// A resource of ours.
    Ours(Box<(SourceObject, Seen)>),
    /// A Secret or `ConfigMap`: only its version.
    Body(String),
}

impl Item {
    /// Whether a reader of the whole set must look again. A new status is no reason: we write it ourselves.
    fn differs(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Ours(a), Self::Ours(b)) => a.0 != b.0 || a.1.generation != b.1.generation || a.1.uid != b.1.uid,
            (Self::Body(a), Self::Body(b)) => a != b,
            _ => true,
        }
    }
}

/// A watch that was not answered, or refused.
struct Failure {
    /// How often it was refused in a row.
    refused: u32,
    at: Instant,
    why: String,
}

/// Everything that is there, and which watches have told all they know. Each watch has a number.
#[derive(Default)]
pub(super) struct Index {
    items: BTreeMap<ObjectRef, (usize, Item)>,
    /// Watches in the middle of a list, with what it named so far: what it does not name at its end is gone.
    listing: BTreeMap<usize, BTreeSet<ObjectRef>>,
    listed: BTreeSet<usize>,
    failures: BTreeMap<usize, Failure>,
}

impl Index {
    /// So often a watch must be refused before the others do without it: a right that is just being given is worth waiting for.
    const TRIES: u32 = 3;
    /// A watch that fails asks again sooner than that.
    const LATELY: Duration = Duration::from_secs(15);

    /// `refused`: by a server that is well, and not because nobody answers.
    pub fn failed(&mut self, watch: usize, refused: bool, why: String) {
        let before = self.failures.get(&watch).map_or(0, |failure| failure.refused);
        self.failures.insert(watch, Failure { refused: if refused { before + 1 } else { 0 }, at: Instant::now(), why });
    }

    /// The API server answered.
    pub fn answered(&mut self, watch: usize) {
        self.failures.remove(&watch);
    }

    /// Whether it has told everything at least once.
    pub fn is_listed(&self, watch: usize) -> bool {
        self.listed.contains(&watch)
    }

    /// Whether it has told nothing yet, because it may not look or there is nothing to look at.
    pub fn given_up(&self, watch: usize) -> bool {
        !self.is_listed(watch) && self.failures.get(&watch).is_some_and(|failure| failure.refused >= Self::TRIES)
    }

    /// Why nothing is heard of it now.
    pub fn silent(&self, watch: usize) -> Option<&str> {
        let lately = |failure: &&Failure| !self.is_listed(watch) || failure.at.elapsed() < Self::LATELY;
        self.failures.get(&watch).filter(lately).map(|failure| failure.why.as_str())
    }

    /// A list begins. Until its end everything counts as it did.
    pub fn begin(&mut self, watch: usize) {
        self.listing.insert(watch, BTreeSet::new());
    }

    /// The list is complete. True: somebody must look.
    pub fn finish(&mut self, watch: usize) -> bool {
        let Some(named) = self.listing.remove(&watch) else { return false };
        let before = self.items.len();
        self.items.retain(|object, (of, _)| *of != watch || named.contains(object));
        // Not "or": the first list must count as such even when nothing is there.
        self.listed.insert(watch) | (self.items.len() != before)
    }

    /// True: somebody must look.
    pub fn apply(&mut self, watch: usize, object: ObjectRef, item: Item) -> bool {
        if let Some(named) = self.listing.get_mut(&watch) {
            named.insert(object.clone());
        }
        let differs = self.items.get(&object).is_none_or(|(_, old)| old.differs(&item));
        self.items.insert(object, (watch, item));
        differs
    }

    /// True: somebody must look.
    pub fn delete(&mut self, object: &ObjectRef) -> bool {
        self.items.remove(object).is_some()
    }

    pub fn ours(&self) -> impl Iterator<Item = (&ObjectRef, &SourceObject, &Seen)> {
        self.items.iter().filter_map(|(key, (_, item))| match item {
            Item::Ours(ours) => Some((key, &ours.0, &ours.1)),
            Item::Body(_) => None,
        })
    }

    pub fn seen(&self, object: &ObjectRef) -> Option<&Seen> {
        match self.items.get(object) {
            Some((_, Item::Ours(ours))) => Some(&ours.1),
            _ => None,
        }
    }

    pub fn version(&self, object: &ObjectRef) -> Option<&str> {
        match self.items.get(object) {
            Some((_, Item::Body(version))) => Some(version),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Index, Item};
    use crate::compile::ObjectRef;

    fn map(name: &str) -> ObjectRef {
        ObjectRef { kind: "ConfigMap".into(), namespace: "a".into(), name: name.into() }
    }

    #[test]
    fn what_a_new_list_does_not_name_is_gone_at_its_end_and_not_earlier() {
        let mut index = Index::default();
        index.begin(0);
        assert!(index.apply(0, map("x"), Item::Body("1".into())));
        assert!(index.apply(0, map("y"), Item::Body("1".into())));
        assert!(index.finish(0));
        // The connection broke; everything is listed anew.
        index.begin(0);
        assert!(!index.apply(0, map("x"), Item::Body("1".into())), "the same version is no news");
        assert_eq!(index.version(&map("y")), Some("1"));
        assert!(index.finish(0));
        assert_eq!((index.version(&map("x")), index.version(&map("y"))), (Some("1"), None));
        index.begin(0);
        index.apply(0, map("x"), Item::Body("1".into()));
        assert!(!index.finish(0), "nothing changed");
    }

    #[test]
    fn an_empty_first_list_is_news_too() {
        let mut index = Index::default();
        index.begin(3);
        assert!(index.finish(3));
        assert!(index.is_listed(3) && !index.is_listed(0));
    }

    #[test]
    fn only_a_watch_that_is_refused_again_and_again_before_it_told_anything_is_given_up() {
        let mut index = Index::default();
        for _ in 0..2 {
            index.failed(0, true, "refused".into());
        }
        assert!(!index.given_up(0), "the right may be just being given");
        index.failed(0, false, "away".into());
        index.failed(0, true, "refused".into());
        assert!(!index.given_up(0), "a server that is away says nothing of rights");
        for _ in 0..2 {
            index.failed(0, true, "refused".into());
        }
        assert_eq!((index.given_up(0), index.silent(0)), (true, Some("refused")));
        index.answered(0);
        index.begin(0);
        index.finish(0);
        for _ in 0..9 {
            index.failed(0, true, "refused".into());
        }
        assert!(!index.given_up(0), "what was seen stays in force");
        assert_eq!(index.silent(0), Some("refused"));
    }
}
