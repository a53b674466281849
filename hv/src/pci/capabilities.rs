//! The lists of a function's capabilities: what hardware says of itself, so each walk ends whatever it says.

use super::registers::{CAPABILITIES, COMMAND, EXTENDED, HEADER_END, command};

/// A function's words, by offset.
pub(super) trait Words: Fn(u16) -> u32 {}
impl<F: Fn(u16) -> u32> Words for F {}

/// The offset and first word of each capability (PCI 6.7), in their order. A list that comes back to itself ends there.
pub(super) fn capabilities<W: Words>(word: &W) -> impl Iterator<Item = (u16, u32)> {
    let mut next = match word(COMMAND) & command::HAS_CAPABILITIES {
        0 => 0,
        _ => word(CAPABILITIES),
    };
    let mut seen = 0u64;
    core::iter::from_fn(move || {
        let offset = (next & 0xfc) as u16;
        let bit = 1u64 << (offset / 4);
        if offset < HEADER_END || seen & bit != 0 {
            return None;
        }
        seen |= bit;
        let header = word(offset);
        next = header >> 8;
        Some((offset, header))
    })
}

/// The offset of the first capability with this number.
pub(super) fn find<W: Words>(word: &W, id: u8) -> Option<(u16, u32)> {
    capabilities(word).find(|(_, header)| *header as u8 == id)
}

/// The offset of the first extended capability with this number (PCIe 7.6.3).
pub(super) fn find_extended<W: Words>(word: &W, id: u16) -> Option<u16> {
    // There is room for no more: each has 8 bytes at least.
    const MOST: usize = (4096 - EXTENDED as usize) / 8;
    let mut offset = EXTENDED;
    for _ in 0..MOST {
        let header = word(offset);
        if header as u16 == id {
            return Some(offset);
        }
        offset = (header >> 20) as u16 & !0b11;
        if offset < EXTENDED {
            break;
        }
    }
    None
}
