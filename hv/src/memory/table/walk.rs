//! Walking a table as the hardware would. An image only builds them: tests ask here what they built.

use core::sync::atomic::Ordering;

use model::Pa;

use super::super::format::{Entry, Format, Level};
use super::Table;

/// Where a walk ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Translation<A> {
    /// The address that the input address stands for.
    pub pa: Pa,
    /// What may be done there.
    pub attributes: A,
    /// Level of the leaf: how large a piece the translation holds for.
    pub level: Level,
}

impl<F: Format> Table<F> {
    /// Translates one input address as the hardware would; `None` is a translation fault.
    pub fn walk(&self, input: u64) -> Option<Translation<F::Attributes>> {
        if input >> self.input_bits != 0 {
            return None;
        }
        let mut table = self.root;
        let mut level = self.shape.level;
        loop {
            match F::decode(
                self.slot(table, level, input)?.load(Ordering::Acquire),
                level,
            ) {
                Entry::Table(next) => {
                    table = next;
                    level = level.next()?;
                }
                Entry::Leaf(base, attributes) => {
                    let pa = base.checked_add(input & (level.size() - 1))?;
                    return Some(Translation {
                        pa,
                        attributes,
                        level,
                    });
                }
                Entry::Empty | Entry::Reserved => return None,
            }
        }
    }
}
