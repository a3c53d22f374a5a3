//! Chance that only depends on a seed and on what it is asked about, so that asking for one thing more changes nothing else.

use rekindle::model::stable_hash;

#[derive(Clone, Copy, Debug)]
pub struct Dice(pub u64);

impl Dice {
    /// A number below `sides`.
    pub fn roll(self, what: &str, n: u64, sides: u64) -> u64 {
        stable_hash(&[&self.0.to_be_bytes(), what.as_bytes(), &n.to_be_bytes()]) % sides.max(1)
    }

    /// In thousandths.
    pub fn chance(self, what: &str, n: u64, thousandths: u64) -> bool {
        self.roll(what, n, 1000) < thousandths
    }
}
