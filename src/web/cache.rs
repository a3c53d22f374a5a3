//! A small cache with a bound, for what is looked up by every click. Two generations: when the young one is full it becomes the
//! old one, and what was not asked for since is forgotten.

use std::{
    collections::HashMap,
    hash::{BuildHasher, Hash, RandomState},
    sync::{Mutex, PoisonError},
};

/// Locks taken by different keys rarely meet.
const SHARDS: usize = 16;

pub(super) struct Cache<K, V> {
    shards: Vec<Mutex<Generations<K, V>>>,
    hasher: RandomState,
    /// Entries of one generation of one shard.
    half: usize,
}

struct Generations<K, V> {
    young: HashMap<K, V>,
    old: HashMap<K, V>,
}

impl<K: Hash + Eq + Clone, V: Clone> Cache<K, V> {
    /// Holds at most `capacity` entries.
    pub fn new(capacity: usize) -> Self {
        let shards = (0..SHARDS).map(|_| Mutex::new(Generations { young: HashMap::new(), old: HashMap::new() })).collect();
        Self { shards, hasher: RandomState::new(), half: (capacity / SHARDS / 2).max(1) }
    }

    pub fn get(&self, key: &K) -> Option<V> {
        let mut generations = self.shard(key)?;
        if let Some(value) = generations.young.get(key) {
            return Some(value.clone());
        }
        let (key, value) = generations.old.remove_entry(key)?;
        self.put(&mut generations, key, value.clone());
        Some(value)
    }

    /// What is there, for who does not want it kept the longer for it.
    pub fn peek(&self, key: &K) -> Option<V> {
        let generations = self.shard(key)?;
        generations.young.get(key).or_else(|| generations.old.get(key)).cloned()
    }

    /// What is there if it will do, else the new value: whoever came first decides for all who asked at the same moment.
    pub fn settle(&self, key: K, value: V, will_do: impl Fn(&V) -> bool) -> V {
        let Some(mut generations) = self.shard(&key) else { return value };
        let there = generations.young.get(&key).or_else(|| generations.old.get(&key)).filter(|there| will_do(there)).cloned();
        if let Some(there) = there {
            return there;
        }
        generations.old.remove(&key);
        self.put(&mut generations, key, value.clone());
        value
    }

    pub fn insert(&self, key: K, value: V) {
        if let Some(mut generations) = self.shard(&key) {
            generations.old.remove(&key);
            self.put(&mut generations, key, value);
        }
    }

    fn put(&self, generations: &mut Generations<K, V>, key: K, value: V) {
        if generations.young.len() >= self.half && !generations.young.contains_key(&key) {
            generations.old = std::mem::take(&mut generations.young);
        }
        generations.young.insert(key, value);
    }

    fn shard(&self, key: &K) -> Option<std::sync::MutexGuard<'_, Generations<K, V>>> {
        let index = usize::try_from(self.hasher.hash_one(key) % SHARDS as u64).unwrap_or(0);
        Some(self.shards.get(index)?.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::Cache;

    #[test]
    fn it_stays_within_its_bound_and_keeps_what_is_used() {
        let cache: Cache<u32, u32> = Cache::new(320);
        for key in 0..100_000 {
            cache.insert(key, key);
            cache.get(&7);
        }
        let held = (0..100_000).filter(|key| cache.get(key).is_some()).count();
        assert!(held <= 320, "{held}");
        assert_eq!(Cache::<u32, u32>::new(0).get(&1), None);
        assert_eq!((cache.peek(&7), cache.peek(&100_000)), (Some(7), None));
    }

    #[test]
    fn who_comes_first_decides_as_long_as_it_will_do() {
        let cache = Cache::new(64);
        assert_eq!(cache.settle(1, "first", |_| true), "first");
        assert_eq!(cache.settle(1, "second", |_| true), "first");
        assert_eq!(cache.settle(1, "third", |there| *there != "first"), "third");
        assert_eq!(cache.get(&1), Some("third"));
    }

    #[test]
    fn what_is_asked_for_stays() {
        let cache: Cache<u32, u32> = Cache::new(320);
        cache.insert(7, 70);
        for key in 100..10_000 {
            cache.insert(key, key);
            assert_eq!(cache.get(&7), Some(70));
        }
    }
}
