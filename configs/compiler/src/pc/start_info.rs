//! What a partition finds of itself at its start: the start information of the PVH boot protocol, version 1 (Xen
//! `public/arch-x86/hvm/start_info.h`), with its memory map and its ACPI tables
//! behind it.

use super::acpi::{self, Machine};
use super::place::Placed;
use crate::range::AddressRange;

/// `XEN_HVM_START_MAGIC_VALUE`.
const MAGIC: u32 = 0x336e_c578;
const HEADER: u64 = 56;
const ENTRY: u64 = 24;
/// The ACPI root pointer begins at a multiple of this.
const ALIGNMENT: u64 = 16;
/// RAM, and what is no RAM, as in an E820 map.
const RAM: u32 = 1;
const RESERVED: u32 = 2;

/// The bytes, for the address `at`. Registers of devices and ends of channels are entries that are no RAM, behind those of the memory.
pub(super) fn start_info(
    at: u64,
    memory: &[Placed],
    beside: &[AddressRange],
    machine: &Machine<'_>,
) -> Vec<u8> {
    let mut bytes = Vec::new();
    for word in [MAGIC, 1, 0, 0] {
        bytes.extend(word.to_le_bytes());
    }
    let memory = memory.iter().map(|region| (region.seen, RAM));
    let all = memory.chain(beside.iter().map(|range| (*range, RESERVED)));
    let all: Vec<(AddressRange, u32)> = all.collect();
    // No modules, no command line.
    let map = at.saturating_add(HEADER);
    let tables = map.saturating_add(ENTRY * all.len() as u64);
    let tables = tables.next_multiple_of(ALIGNMENT);
    for address in [0, 0, tables, map] {
        bytes.extend(u64::to_le_bytes(address));
    }
    let entries = u32::try_from(all.len()).unwrap_or(u32::MAX);
    bytes.extend(entries.to_le_bytes());
    bytes.extend(0u32.to_le_bytes());
    for (range, kind) in all {
        bytes.extend(range.base.to_le_bytes());
        bytes.extend(range.size.to_le_bytes());
        bytes.extend(kind.to_le_bytes());
        bytes.extend(0u32.to_le_bytes());
    }
    bytes.resize((tables - at) as usize, 0);
    bytes.extend(acpi::tables(tables, machine));
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_points_to_the_memory_map_behind_it() {
        let region = Placed {
            seen: AddressRange::new(0x1000, 0x2000).unwrap(),
            pa: 0x80_0000,
        };
        let bar = AddressRange::new(0xe000_0000, 0x10_0000).unwrap();
        let machine = Machine {
            apics: &[1, 3],
            console: false,
            ends: &[],
        };
        let bytes = start_info(0x9000, &[region], &[bar], &machine);
        let tables = 56 + 2 * 24 + 8;
        assert_eq!(bytes[32..40], (0x9000 + tables as u64).to_le_bytes());
        assert_eq!(&bytes[tables..tables + 8], b"RSD PTR ");
        assert_eq!(bytes[..4], MAGIC.to_le_bytes());
        assert_eq!(bytes[40..48], 0x9038u64.to_le_bytes());
        assert_eq!(bytes[48..52], 2u32.to_le_bytes());
        assert_eq!(bytes[56..64], 0x1000u64.to_le_bytes());
        assert_eq!(bytes[72..76], RAM.to_le_bytes());
        assert_eq!(bytes[80..88], 0xe000_0000u64.to_le_bytes());
        assert_eq!(bytes[96..100], RESERVED.to_le_bytes());
    }
}
