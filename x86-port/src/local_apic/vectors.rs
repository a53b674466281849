//! Sets of interrupt vectors, as the in-service and interrupt request registers hold them (Intel SDM volume 3, 11.8.4).

/// A set of vectors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Vectors([u32; 8]);

impl Vectors {
    /// None.
    pub const NONE: Self = Self([0; 8]);

    /// Puts one in.
    pub fn insert(&mut self, vector: u8) {
        if let Some(word) = self.0.get_mut(usize::from(vector / 32)) {
            *word |= 1 << (vector % 32);
        }
    }

    /// Takes one out.
    pub fn remove(&mut self, vector: u8) {
        if let Some(word) = self.0.get_mut(usize::from(vector / 32)) {
            *word &= !(1 << (vector % 32));
        }
    }

    /// True when it is in.
    pub fn contains(&self, vector: u8) -> bool {
        self.word(vector / 32) >> (vector % 32) & 1 != 0
    }

    /// The highest: the one with the highest priority.
    pub fn highest(&self) -> Option<u8> {
        let index = (0..8u8).rev().find(|index| self.word(*index) != 0)?;
        let bit = 31 - self.word(index).leading_zeros();
        Some(index * 32 + bit as u8)
    }

    /// 32 of them, from vector 32 times `index` on, a bit for each; none behind the last.
    pub fn word(&self, index: u8) -> u32 {
        self.0.get(usize::from(index)).copied().unwrap_or(0)
    }
}
