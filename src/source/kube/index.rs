//! What the watches have told so far: a plain map, fed synchronously.

use crate::compile::{ObjectRef, SourceObject};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

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

/// Everything that is there, and which watches have told all they know. Each watch has a number.
#[derive(Default)]
pub(super) struct Index {
    items: BTreeMap<ObjectRef, (usize, Item)>,
    /// Watches in the middle of a list, with what it named so far: what it does not name at its end is gone.
    listing: BTreeMap<usize, BTreeSet<ObjectRef>>,
    listed: BTreeSet<usize>,
}

impl Index {
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

    /// How many watches have told everything at least once.
    pub fn complete(&self) -> usize {
        self.listed.len()
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
        assert_eq!(index.complete(), 1);
    }
}
