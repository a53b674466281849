//! Sets of interrupt vectors, as the in-service and interrupt request registers hold them (Intel SDM volume 3, 11.8.4).

/// A set of vectors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Vectors {
    words: [u32; 8],
    /// Bit n: word n is not 0.
    used: u8,
}

impl Vectors {
    /// None.
    pub const NONE: Self = Self {
        words: [0; 8],
        used: 0,
    };

    /// Puts one in.
    pub fn insert(&mut self, vector: u8) {
        if let Some(word) = self.words.get_mut(usize::from(vector / 32)) {
            *word |= 1 << (vector % 32);
            self.used |= 1 << (vector / 32);
        }
    }

    /// Takes one out.
    pub fn remove(&mut self, vector: u8) {
        if let Some(word) = self.words.get_mut(usize::from(vector / 32)) {
            *word &= !(1 << (vector % 32));
            if *word == 0 {
                self.used &= !(1 << (vector / 32));
            }
        }
    }

    /// True when it is in.
    pub fn contains(&self, vector: u8) -> bool {
        self.word(vector / 32) >> (vector % 32) & 1 != 0
    }

    /// The highest: the one with the highest priority.
    pub fn highest(&self) -> Option<u8> {
        let index = self.used.checked_ilog2()? as u8;
        let bit = self.word(index).checked_ilog2()? as u8;
        Some(index * 32 + bit)
    }

    /// 32 of them, from vector 32 times `index` on, a bit for each; none behind the last.
    pub fn word(&self, index: u8) -> u32 {
        self.words.get(usize::from(index)).copied().unwrap_or(0)
    }
}
