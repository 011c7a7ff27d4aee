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

    /// Others that look as random: one of many of the same seed.
    pub fn another(mut self, number: u64) -> Chance {
        for _ in 0..=number {
            self.below(2);
        }
        Chance(self.0.wrapping_mul(0x9E37_79B9_7F4A_7C15).max(1))
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}
