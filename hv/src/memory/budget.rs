//! How many frames a partition's stage-2 translation takes.

use model::memory::Mapping;

use super::format::Format;
use super::stage2::Stage2;
use super::table::{MapError, Pieces, new_tables};

/// Pages of 4 KiB that the stage-2 table of a partition takes, its root included. The mappings are sorted by IPA and do not overlap,
/// as [`model::partition::Partition::memory`] guarantees.
///
/// A pool of exactly this many pages (summed over the partitions) suffices when its own address is a multiple of the root's size,
/// which is 4 KiB times [`Root::pages`](super::Root::pages).
///
/// # Errors
/// [`MapError`] when [`Table::map`](super::Table::map) would refuse the width or one of the mappings by itself.
pub fn pages_needed(mappings: &[Mapping], ipa_bits: u32) -> Result<usize, MapError> {
    let root = Stage2::root(ipa_bits).ok_or(MapError::InputBits(ipa_bits))?;
    let mut pages = root.pages;
    let mut previous = None;
    for mapping in mappings {
        for piece in Pieces::new::<Stage2>(mapping.ipa.get(), mapping.pa, mapping.size, ipa_bits)? {
            pages += new_tables(root.level, &piece, previous);
            previous = Some(piece.input);
        }
    }
    Ok(pages)
}
