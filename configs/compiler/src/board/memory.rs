//! RAM, and what firmware keeps of it.

use super::given::{MemoryBank, Reserved};
use super::{BoardError, BoardToml};
use crate::devicetree::{NodeId, Tree, TreeError, addresses};
use crate::range::{AddressRange, merge};

/// The board's RAM.
#[derive(Debug)]
pub(crate) struct Memory {
    /// Sorted, not empty, whole pages.
    pub banks: Vec<AddressRange>,
    /// Regions that firmware or the board keeps, each with its name; whole pages.
    pub reserved: Vec<(AddressRange, String)>,
    /// Regions of `/reserved-memory` that keep nothing from partitions: path and reason.
    pub ignored: Vec<(String, &'static str)>,
}

const PAGE: u64 = model::memory::PAGE;

/// Reads the memory, and checks that the image is loaded into it.
pub(super) fn read(tree: &Tree, file: &BoardToml) -> Result<Memory, BoardError> {
    let memory = Memory::of(tree, file)?;
    let holds = |bank: &AddressRange| (bank.base..bank.end()).contains(&file.load);
    if !memory.banks.iter().any(holds) {
        return Err(BoardError::Load(file.load));
    }
    Ok(memory)
}

impl Memory {
    /// Reads the banks, unless `board.toml` gives them, and the reserved regions.
    pub fn of(tree: &Tree, file: &BoardToml) -> Result<Self, BoardError> {
        let given = |bank: &MemoryBank| AddressRange::new(bank.base, bank.size);
        let banks = match file.memory.as_slice() {
            [] => banks(tree)?,
            banks => banks.iter().filter_map(given).collect(),
        };
        let banks = merge(
            banks
                .into_iter()
                .filter_map(|bank| bank.inward(PAGE))
                .collect(),
        );
        if banks.is_empty() {
            return Err(BoardError::NoMemory);
        }
        let mut memory = Self {
            banks,
            reserved: Vec::new(),
            ignored: Vec::new(),
        };
        reserved(tree, &file.reserved, &mut memory)?;
        Ok(memory)
    }
}

/// What the nodes of type "memory" say. Firmware fills in the size of many boards: 0 means that it has not yet.
fn banks(tree: &Tree) -> Result<Vec<AddressRange>, TreeError> {
    let is_memory = |node: &NodeId| {
        tree.string(*node, "device_type") == Some("memory") && tree.is_enabled(*node)
    };
    let mut banks = Vec::new();
    for node in tree.nodes().filter(is_memory) {
        for (base, size) in addresses::entries(tree, node)? {
            if size > 0 {
                let bank = AddressRange::new(base, size);
                banks.push(bank.ok_or_else(|| tree.error(node, "reg", "wraps around"))?);
            }
        }
    }
    Ok(banks)
}

/// `/memreserve/` entries and the regions of `/reserved-memory` (Devicetree Specification 0.4, sections 3.5 and 5.3),
/// and what `board.toml` adds.
fn reserved(tree: &Tree, more: &[Reserved], memory: &mut Memory) -> Result<(), TreeError> {
    let mut keep = |range: AddressRange, name: String| {
        let range = range.outward(PAGE).unwrap_or(range);
        memory.reserved.push((range, name));
    };
    for range in &tree.reservations {
        keep(*range, "/memreserve/".to_owned());
    }
    for region in more {
        if let Some(range) = AddressRange::new(region.base, region.size) {
            keep(range, region.owner.clone());
        }
    }
    let regions = tree
        .find("/reserved-memory")
        .map(|parent| tree.children(parent));
    for node in regions.unwrap_or_default() {
        match unneeded(tree, *node) {
            Some(reason) => memory.ignored.push((tree.path(*node), reason)),
            None => {
                for range in addresses::registers(tree, *node)? {
                    keep(range, tree.path(*node));
                }
            }
        }
    }
    Ok(())
}

/// Why a region of `/reserved-memory` keeps nothing from partitions.
fn unneeded(tree: &Tree, node: NodeId) -> Option<&'static str> {
    if !tree.is_enabled(node) {
        Some("it is disabled")
    } else if tree.has(node, "reusable") {
        Some("it is reusable: an operating system's own pool, not firmware's")
    } else if !tree.has(node, "reg") {
        Some("it has no address: an operating system would choose one for itself")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::board::read_board_toml;
    use crate::testing::{Gic, RAM, board, board_toml, virt};

    fn file(more: &str) -> BoardToml {
        let text = format!("{}{more}", board_toml("test"));
        read_board_toml(&text, std::path::Path::new("board.toml")).unwrap()
    }

    /// A name and cells.
    type Property<'a> = (&'a str, &'a [u32]);

    /// `virt` with children of `/reserved-memory`, each with a name and properties.
    fn with_regions(regions: &[(&str, &[Property<'_>])]) -> Tree {
        let mut tree = virt(Gic::V3);
        let parent = tree.add(Tree::ROOT, "reserved-memory");
        tree.set_cells(parent, "#address-cells", &[2]);
        tree.set_cells(parent, "#size-cells", &[2]);
        tree.set(parent, "ranges", []);
        for (name, properties) in regions {
            let region = tree.add(parent, *name);
            for (name, cells) in *properties {
                tree.set_cells(region, name, cells);
            }
        }
        tree
    }

    #[test]
    fn reserved_regions_of_both_kinds_are_kept_as_whole_pages() {
        let mut tree = with_regions(&[(
            "firmware@7ed00000",
            &[("reg", &[0, 0x7ed0_0000, 0, 0x4_0000]), ("no-map", &[])],
        )]);
        tree.reservations
            .push(AddressRange::new(RAM + 0x10, 0x20).unwrap());
        let reserved = board(tree).memory.reserved;
        let first = AddressRange::new(RAM, 0x1000).unwrap();
        assert_eq!(reserved[0], (first, "/memreserve/".to_owned()));
        assert_eq!(reserved[1].1, "/reserved-memory/firmware@7ed00000");
    }

    #[test]
    fn pools_of_an_operating_system_are_ignored_with_a_reason() {
        let tree = with_regions(&[
            (
                "linux,cma",
                &[("size", &[0, 0x400_0000]), ("reusable", &[])],
            ),
            (
                "linux,cma@57000000",
                &[
                    ("reg", &[0, 0x5700_0000, 0, 0x1900_0000]),
                    ("reusable", &[]),
                ],
            ),
            ("crash-dump", &[("size", &[0, 0x10_0000])]),
        ]);
        let memory = board(tree).memory;
        assert_eq!(memory.reserved, []);
        let reasons: Vec<_> = memory.ignored.iter().map(|(_, why)| &why[..9]).collect();
        assert_eq!(reasons, ["it is reu", "it is reu", "it has no"]);
    }

    #[test]
    fn empty_reserved_region_is_an_error_with_path_and_property() {
        let tree = with_regions(&[("odd", &[("reg", &[0, RAM as u32, 0, 0])])]);
        let error = read(&tree, &file("")).unwrap_err().to_string();
        assert!(error.contains("/reserved-memory/odd: `reg`"), "{error}");
    }

    #[test]
    fn banks_of_all_memory_nodes_are_read_and_empty_ones_skipped() {
        let mut tree = virt(Gic::V3);
        let high = tree.add(Tree::ROOT, "memory@800000000");
        tree.set_string(high, "device_type", "memory");
        tree.set_cells(high, "reg", &[8, 0, 0, 0x8000_0000, 9, 0, 0, 0]);
        let banks = board(tree).memory.banks;
        assert_eq!(banks.len(), 2);
        assert_eq!(
            banks[1],
            AddressRange::new(0x8_0000_0000, 0x8000_0000).unwrap()
        );
    }

    #[test]
    fn memory_that_firmware_has_not_filled_in_can_be_given() {
        let mut tree = virt(Gic::V3);
        let memory = tree.find("/memory").unwrap();
        tree.set_cells(memory, "reg", &[0, 0, 0, 0]);
        assert!(matches!(read(&tree, &file("")), Err(BoardError::NoMemory)));
        let given = file("[[memory]]\nbase = \"0x40000000\"\nsize = \"1GiB\"\n");
        let banks = [AddressRange::new(RAM, 1 << 30).unwrap()];
        assert_eq!(read(&tree, &given).unwrap().banks, banks);
    }
}
