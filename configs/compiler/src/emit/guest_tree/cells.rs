//! How addresses and sizes are written under the root of a guest tree: as the board does, so that the buses of the board fit.

use model::IntId;

use crate::devicetree::Tree;
use crate::range::AddressRange;

/// An address that does not fit the cells of the board's root.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0} does not fit the one cell that the root of the board's device tree has for an address"
)]
pub(crate) struct TooNarrow(pub AddressRange);

/// Numbers of cells, each 1 or 2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cells {
    pub address: u32,
    pub size: u32,
}

/// The largest whole number of pages that one cell holds.
const LARGEST_OF_ONE_CELL: u64 = 0xffff_f000;

/// The specifier of an edge-triggered SPI at the GIC (Linux, arm,gic-v3.yaml).
pub(super) const fn edge(spi: IntId) -> [u32; 3] {
    const SPI: u32 = 0;
    const EDGE: u32 = 1;
    [SPI, spi.get() - IntId::FIRST_SPI, EDGE]
}

impl Cells {
    /// Those of a tree's root; 2 and 1 when it says nothing (Devicetree Specification 0.4, section 2.3.5).
    pub fn of_root(tree: &Tree) -> Self {
        let cells = |name, default| match tree.cell(Tree::ROOT, name) {
            Ok(Some(cells @ 1..=2)) => cells,
            _ => default,
        };
        Self {
            address: cells("#address-cells", 2),
            size: cells("#size-cells", 1),
        }
    }

    /// A `reg` with these ranges. One that is larger than its cells is written as several.
    pub fn reg(self, ranges: &[AddressRange]) -> Result<Vec<u32>, TooNarrow> {
        let mut cells = Vec::new();
        for range in ranges {
            if self.address == 1 && range.end() > 1 << 32 {
                return Err(TooNarrow(*range));
            }
            let mut rest = *range;
            while self.size == 1 && rest.size > u64::from(u32::MAX) {
                self.entry(rest.base, LARGEST_OF_ONE_CELL, &mut cells);
                rest = AddressRange {
                    base: rest.base + LARGEST_OF_ONE_CELL,
                    size: rest.size - LARGEST_OF_ONE_CELL,
                };
            }
            self.entry(rest.base, rest.size, &mut cells);
        }
        Ok(cells)
    }

    fn entry(self, base: u64, size: u64, cells: &mut Vec<u32>) {
        for (value, count) in [(base, self.address), (size, self.size)] {
            cells.extend_from_slice(&pair(value)[2 - count as usize..]);
        }
    }
}

/// A number as two cells.
pub(super) fn pair(value: u64) -> [u32; 2] {
    [(value >> 32) as u32, value as u32]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(base: u64, size: u64) -> AddressRange {
        AddressRange::new(base, size).unwrap()
    }

    #[test]
    fn cells_are_as_many_as_the_root_says() {
        let mut tree = Tree::new();
        assert_eq!(
            Cells::of_root(&tree),
            Cells {
                address: 2,
                size: 1
            }
        );
        tree.set_cells(Tree::ROOT, "#address-cells", &[1]);
        let cells = Cells::of_root(&tree);
        assert_eq!(cells.reg(&[range(0x1000, 0x20)]).unwrap(), [0x1000, 0x20]);
    }

    #[test]
    fn large_range_is_cut_where_one_cell_ends() {
        let cells = Cells {
            address: 2,
            size: 1,
        };
        let expected = [1, 0, 0xffff_f000, 1, 0xffff_f000, 0x1000];
        assert_eq!(cells.reg(&[range(1 << 32, 1 << 32)]).unwrap(), expected);
    }

    #[test]
    fn high_address_in_one_cell_is_refused() {
        let cells = Cells {
            address: 1,
            size: 1,
        };
        assert!(cells.reg(&[range(0xffff_f000, 0x1000)]).is_ok());
        assert!(cells.reg(&[range(1 << 32, 0x1000)]).is_err());
    }
}
