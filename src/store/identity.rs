//! Who is who, without a database: keys that lead to one person are joined. The databases and simulations share it, because the
//! number of a client decides about holdout and variants.

use crate::model::{AddressHash, ContactConsent, Deal, Medium};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap, btree_map::Entry},
    hash::Hash,
};

pub(crate) fn contact_key(connection: &str, id: &str) -> String {
    format!("contact:{connection}:{id}")
}

pub(crate) fn address_key(hash: &AddressHash) -> String {
    format!("address:{}", hash.0)
}

pub(crate) fn deal_key(connection: &str, deal: &Deal) -> String {
    // A deal whose contact was not read yet waits under the contact's name; the contact then finds the client there.
    deal.contacts.first().map_or_else(|| format!("deal:{connection}:{}", deal.id), |contact| contact_key(connection, contact))
}

/// Groups of keys that mean one person, as a forest: each client points at a smaller one until its root.
#[derive(Default)]
pub(crate) struct Forest {
    pub parent: HashMap<i64, i64>,
    pub fresh: BTreeSet<i64>,
}

impl Forest {
    /// Finds the client of each group of keys. `known` leads from keys to clients and learns the new ones.
    pub fn of<K: Eq + Hash + Clone>(known: &mut HashMap<K, i64>, groups: &[Vec<K>]) -> Self {
        let mut forest = Self::default();
        for keys in groups {
            let met: Vec<i64> = keys.iter().filter_map(|k| known.get(k).copied()).collect();
            let client = match met.split_first() {
                None => forest.grow(),
                Some((first, others)) => others.iter().fold(forest.root(*first), |a, b| forest.join(a, *b)),
            };
            for key in keys {
                known.entry(key.clone()).or_insert(client);
            }
        }
        forest
    }

    pub fn root(&self, mut id: i64) -> i64 {
        while let Some(up) = self.parent.get(&id) {
            id = *up;
        }
        id
    }

    /// The numbers of the new clients, of which `first` is the smallest, by their placeholders.
    pub fn numbers(&self, first: i64) -> HashMap<i64, i64> {
        self.fresh.iter().rev().copied().zip(first..).collect()
    }

    /// New clients have negative numbers until they get theirs; a stored one always survives a new one.
    fn join(&mut self, a: i64, b: i64) -> i64 {
        let (a, b) = (self.root(a), self.root(b));
        if a == b {
            return a;
        }
        let age = |id: i64| (id < 0, id.abs());
        let (keep, drop) = if age(a) < age(b) { (a, b) } else { (b, a) };
        self.parent.insert(drop, keep);
        keep
    }

    fn grow(&mut self) -> i64 {
        let id = -1 - i64::try_from(self.fresh.len()).unwrap_or(i64::MAX - 1);
        self.fresh.insert(id);
        id
    }
}

/// What CRMs say of consent, address by address: whether it is given, and who says so. All contacts that have an address now speak
/// together, whatever connection they are of and whenever they were read: a "no" holds against the "yes" of another, and who says
/// nothing changes nothing.
#[derive(Default)]
pub(crate) struct Words(pub BTreeMap<(AddressHash, Medium), (bool, String)>);

impl Words {
    pub fn hear(&mut self, connection: &str, consent: &ContactConsent, address: &AddressHash, medium: Medium) {
        let said = match medium {
            Medium::Sms => consent.sms,
            Medium::Email => consent.email,
        };
        let Some(given) = said else { return };
        // Of several who say the same the first by name is quoted, so that it does not matter who was read last.
        let word = (given, format!("crm:{connection}"));
        match self.0.entry((address.clone(), medium)) {
            Entry::Occupied(mut known) => {
                if word < *known.get() {
                    known.insert(word);
                }
            }
            Entry::Vacant(unknown) => {
                unknown.insert(word);
            }
        }
    }
}
