//! Random numbers, the same in every run, so that what one run finds the next finds again.

/// Marsaglia's xorshift with 64 bits of state.
pub struct Random(u64);

impl Random {
    /// A sequence of its own for each seed; zero counts as one.
    pub fn new(seed: u64) -> Self {
        Self(seed.max(1))
    }

    /// Draws the next number.
    pub fn draw(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }
}
