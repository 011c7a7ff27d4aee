//! Randomness that a number repeats.

use std::ops::RangeInclusive;

/// A sequence of random numbers (splitmix64).
pub struct Chance(u64);

impl Chance {
    pub fn new(seed: u64) -> Chance {
        Chance(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number within a range.
    pub fn within(&mut self, range: RangeInclusive<i64>) -> i64 {
        let span = (range.end() - range.start()).unsigned_abs() + 1;
        range.start() + i64::try_from(self.next() % span).unwrap()
    }

    /// True so many times in a hundred.
    pub fn percent(&mut self, percent: i64) -> bool {
        self.within(1..=100) <= percent
    }

    /// One of several.
    pub fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[usize::try_from(self.next() % from.len() as u64).unwrap()].clone()
    }

    /// The index of one of several weights.
    pub fn weighted(&mut self, weights: &[i64]) -> usize {
        let mut rest = self.within(1..=weights.iter().sum());
        for (index, weight) in weights.iter().enumerate() {
            rest -= weight;
            if rest <= 0 {
                return index;
            }
        }
        weights.len() - 1
    }
}
