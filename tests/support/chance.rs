//! Numbers that look random and can be had again.

/// xorshift64.
pub struct Chance(u64);

impl Chance {
    /// From `HERALD_TEST_SEED`, else always the same; printed in any case.
    pub fn from_environment() -> Chance {
        let given = std::env::var("HERALD_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
        let seed: u64 = given.unwrap_or(20_261_121);
        eprintln!("HERALD_TEST_SEED={seed}");
        Chance(seed.max(1))
    }

    /// From a number.
    pub fn of(seed: u64) -> Chance {
        Chance(seed.max(1))
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}
