//! Seeded chance: the same seed rolls the same demo, whatever order things arrive in.

use crate::model::{share, stable_hash};

/// Rolls by name: what happens to one person does not depend on how often others were asked.
#[derive(Clone, Copy, Debug)]
pub struct Dice {
    seed: u64,
}

impl Dice {
    pub const fn new(seed: u64) -> Self {
        Self { seed }
    }

    fn hash(self, what: &str, who: &str) -> u64 {
        stable_hash(&[&self.seed.to_be_bytes(), what.as_bytes(), who.as_bytes()])
    }

    /// A share in 0..1.
    pub fn share(self, what: &str, who: &str) -> f64 {
        share(self.hash(what, who))
    }

    /// A whole number in `from..to`.
    pub fn range(self, what: &str, who: &str, from: i64, to: i64) -> i64 {
        let width = u64::try_from(to - from).unwrap_or(1).max(1);
        from + i64::try_from(self.hash(what, who) % width).unwrap_or(0)
    }

    /// One of a list that is not empty.
    pub fn pick<'a, T>(self, what: &str, who: &str, list: &'a [T]) -> Option<&'a T> {
        let index = usize::try_from(self.hash(what, who) % (list.len().max(1) as u64)).unwrap_or(0);
        list.get(index)
    }
}
