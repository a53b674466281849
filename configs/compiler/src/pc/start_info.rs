//! What a partition finds of itself at its start: the start information of the PVH boot protocol, version 1 (Xen
//! `public/arch-x86/hvm/start_info.h`), with its memory map behind it.

use super::place::Placed;

/// `XEN_HVM_START_MAGIC_VALUE`.
const MAGIC: u32 = 0x336e_c578;
const HEADER: u64 = 56;
/// RAM, as in an E820 map.
const RAM: u32 = 1;

/// The bytes, for the address `at`.
pub(super) fn start_info(at: u64, memory: &[Placed]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for word in [MAGIC, 1, 0, 0] {
        bytes.extend(word.to_le_bytes());
    }
    // No modules, no command line, no ACPI; the memory map follows.
    for address in [0, 0, 0, at.saturating_add(HEADER)] {
        bytes.extend(u64::to_le_bytes(address));
    }
    let entries = u32::try_from(memory.len()).unwrap_or(u32::MAX);
    bytes.extend(entries.to_le_bytes());
    bytes.extend(0u32.to_le_bytes());
    for region in memory {
        bytes.extend(region.seen.base.to_le_bytes());
        bytes.extend(region.seen.size.to_le_bytes());
        bytes.extend(RAM.to_le_bytes());
        bytes.extend(0u32.to_le_bytes());
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::range::AddressRange;

    #[test]
    fn header_points_to_the_memory_map_behind_it() {
        let region = Placed {
            seen: AddressRange::new(0x1000, 0x2000).unwrap(),
            pa: 0x80_0000,
        };
        let bytes = start_info(0x9000, &[region]);
        assert_eq!(bytes.len(), 56 + 24);
        assert_eq!(bytes[..4], MAGIC.to_le_bytes());
        assert_eq!(bytes[40..48], 0x9038u64.to_le_bytes());
        assert_eq!(bytes[48..52], 1u32.to_le_bytes());
        assert_eq!(bytes[56..64], 0x1000u64.to_le_bytes());
        assert_eq!(bytes[72..76], RAM.to_le_bytes());
    }
}
