//! What a partition's stage-2 tables lead to, read from memory as the CPU's walker would (Arm ARM D8.2).

use crate::cpu::{SystemRegisters, WIDTHS};
use crate::fault::Fault;
use crate::memory::Ram;

/// One page or block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leaf {
    /// Guest physical address.
    pub ipa: u64,
    /// Where it leads.
    pub pa: u64,
    /// Bytes.
    pub size: u64,
    /// A guest may write there.
    pub writable: bool,
}

impl Leaf {
    /// True when it leads to a byte of the range.
    pub fn touches(&self, base: u64, size: u64) -> bool {
        self.pa < base + size && base < self.pa + self.size
    }
}

/// All that the tables of the CPU's present partition map, in the order of their addresses.
///
/// # Errors
/// They are no tables, or `VTCR_EL2` is not what the CPU can do.
pub fn leaves(system: &SystemRegisters, ram: &Ram) -> Result<Vec<Leaf>, Fault> {
    let wrong = |what: &str, value: u64| Err(Fault::Guest(format!("{what} is {value:#x}")));
    let traps = system.named("HCR_EL2")?;
    // VM, FMO, IMO, AMO, RW.
    if traps & 1 == 0 || traps >> 3 & 7 != 7 || traps >> 31 & 1 == 0 {
        return wrong("HCR_EL2", traps);
    }
    let control = system.named("VTCR_EL2")?;
    let bits = 64 - (control & 0x3f) as u32;
    let range = system.named("ID_AA64MMFR0_EL1")? & 0xf;
    let size = control >> 16 & 7;
    if control >> 14 & 3 != 0 || size > range || bits > WIDTHS[range.min(6) as usize] {
        return wrong("VTCR_EL2", control);
    }
    // SL0 with 4 KiB granules: 0 begins at level 2, 1 at level 1, 2 at level 0.
    let first = match control >> 6 & 3 {
        begin @ 0..=2 => 2 - begin as u32,
        _ => return wrong("VTCR_EL2", control),
    };
    let shift = 39 - 9 * first;
    // Up to 16 tables side by side at the first level.
    let tables = 1u64 << bits.saturating_sub(shift + 9);
    if bits <= shift || tables > 16 {
        return wrong("VTCR_EL2", control);
    }
    let root = system.named("VTTBR_EL2")? & 0x0000_ffff_ffff_f000;
    if !root.is_multiple_of(4096 * tables) {
        return wrong("VTTBR_EL2", root);
    }
    let mut found = Vec::new();
    for table in 0..tables {
        let base = table << (shift + 9);
        walk(ram, root + table * 4096, first, base, bits, &mut found)?;
    }
    Ok(found)
}

fn walk(
    ram: &Ram,
    table: u64,
    level: u32,
    base: u64,
    bits: u32,
    found: &mut Vec<Leaf>,
) -> Result<(), Fault> {
    let shift = 39 - 9 * level;
    for index in 0..512 {
        let ipa = base | index << shift;
        if ipa >> bits != 0 {
            break;
        }
        let descriptor = ram.word(table + index * 8)?;
        let target = descriptor & 0x0000_ffff_ffff_f000;
        match (descriptor & 3, level) {
            (3, 0..=2) => walk(ram, target, level + 1, ipa, bits, found)?,
            (3, 3) | (1, 1 | 2) => {
                if descriptor >> 10 & 1 == 0 || !target.is_multiple_of(1 << shift) {
                    return Err(Fault::Guest(format!(
                        "the descriptor of {ipa:#x} is {descriptor:#x}"
                    )));
                }
                found.push(Leaf {
                    ipa,
                    pa: target,
                    size: 1 << shift,
                    writable: descriptor >> 7 & 1 != 0,
                });
            }
            (0 | 2, _) => {}
            _ => {
                return Err(Fault::Guest(format!(
                    "the descriptor of {ipa:#x} is {descriptor:#x}"
                )));
            }
        }
    }
    Ok(())
}

/// Where a guest physical address leads.
pub fn translate(leaves: &[Leaf], ipa: u64) -> Option<u64> {
    let leaf = leaves
        .iter()
        .find(|leaf| (leaf.ipa..leaf.ipa + leaf.size).contains(&ipa))?;
    Some(leaf.pa + (ipa - leaf.ipa))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A table at 0x1000 with one entry that leads to the next one, and so on; a page and a block at the end.
    fn ram() -> Ram {
        let mut ram = Ram::new([(0, 0x4000)]);
        assert!(ram.write(0, &[0; 0x4000]));
        for (place, entry) in [
            (0x1008, 0x2003u64),
            (0x2000, 0x3003),
            (0x2008, 0x8020_0000 | 0x7fd),
            (0x3008, 0x9000_0000 | 0x77f),
        ] {
            assert!(ram.write(place, &entry.to_le_bytes()));
        }
        ram
    }

    #[test]
    fn pages_and_blocks_are_found_where_the_guest_sees_them() {
        let mut found = Vec::new();
        walk(&ram(), 0x1000, 1, 0, 39, &mut found).unwrap();
        let page = Leaf {
            ipa: 0x4000_1000,
            pa: 0x9000_0000,
            size: 0x1000,
            writable: false,
        };
        let block = Leaf {
            ipa: 0x4020_0000,
            pa: 0x8020_0000,
            size: 0x20_0000,
            writable: true,
        };
        assert_eq!(found, [page, block]);
        assert_eq!(translate(&found, 0x4020_1234), Some(0x8020_1234));
        assert_eq!(translate(&found, 0x4000_0000), None);
        assert!(block.touches(0x8030_0000, 1) && !block.touches(0x8040_0000, 0x1000));
    }

    #[test]
    fn table_outside_the_ram_is_a_fault() {
        assert!(walk(&ram(), 0x8000, 1, 0, 39, &mut Vec::new()).is_err());
    }
}
