//! A second look at what comes out: the promises of isolation, proved again from nothing but the report and the guest trees.
//!
//! Nothing here looks at how the system was checked and placed. Each rule compares every pair, which is slow and hard to get wrong.

use crate::devicetree::{NodeId, Tree, addresses};
use crate::range::AddressRange;
use crate::{MappingEntry, MappingKind, PartitionEntry, Proof, Report};

/// Properties that begin with a phandle, with the property of the provider that says how many cells follow; `None`: none follow.
const REFERENCES: [(&str, Option<&str>); 18] = [
    ("interrupt-parent", None),
    ("interrupts-extended", Some("#interrupt-cells")),
    ("clocks", Some("#clock-cells")),
    ("assigned-clocks", Some("#clock-cells")),
    ("resets", Some("#reset-cells")),
    ("power-domains", Some("#power-domain-cells")),
    ("phys", Some("#phy-cells")),
    ("dmas", Some("#dma-cells")),
    ("mboxes", Some("#mbox-cells")),
    ("pwms", Some("#pwm-cells")),
    ("interconnects", Some("#interconnect-cells")),
    ("io-channels", Some("#io-channel-cells")),
    ("thermal-sensors", Some("#thermal-sensor-cells")),
    ("nvmem-cells", None),
    ("memory-region", None),
    ("pinctrl-0", None),
    ("pinctrl-1", None),
    ("phy-handle", None),
];
/// Properties that no guest tree may have: they name what protects the others from the guest.
const FORBIDDEN: [&str; 3] = ["iommus", "iommu-map", "iommu-map-mask"];
const PAGE: u64 = 4096;
/// SPIs of a GIC (Arm IHI 0069, section 2.2.1).
const SPIS: std::ops::Range<u32> = 32..1020;
const EXTENDED_SPIS: std::ops::Range<u32> = 4096..5120;

/// Every promise of isolation that a proof breaks. Empty when all hold.
pub fn audit(proof: &Proof) -> Vec<String> {
    let (report, trees) = (&proof.report, &proof.guest_trees);
    let mut broken = Vec::new();
    let mut guests = Vec::new();
    for partition in &report.partitions {
        let tree = trees.iter().find(|(name, _)| *name == partition.name);
        match tree.map(|(_, bytes)| Tree::read(bytes)) {
            Some(Ok(tree)) => guests.push(Guest { partition, tree }),
            Some(Err(error)) => broken.push(format!("{}: its tree: {error}", partition.name)),
            None => broken.push(format!("{} has no tree", partition.name)),
        }
    }
    memory_has_one_owner(report, &guests, &mut broken);
    interrupts_have_one_owner(&guests, &mut broken);
    dedicated_cpus_have_one_owner(report, &mut broken);
    for guest in &guests {
        guest.phandles_resolve(&mut broken);
        guest.registers_are_mapped(&mut broken);
        guest.lists_its_cpus(&mut broken);
    }
    broken
}

struct Guest<'a> {
    partition: &'a PartitionEntry,
    tree: Tree,
}

fn memory_has_one_owner(report: &Report, guests: &[Guest<'_>], broken: &mut Vec<String>) {
    let kept = report
        .reserved
        .iter()
        .map(|one| (one.name.as_str(), one.base, one.size));
    let image = &report.image;
    let kept: Vec<_> = kept
        .chain([(image.name.as_str(), image.base, image.size)])
        .collect();
    for (index, guest) in guests.iter().enumerate() {
        let name = &guest.partition.name;
        for mapping in &guest.partition.mappings {
            let Some(range) = physical(mapping) else {
                broken.push(format!("{name}: a mapping is empty or wraps around"));
                continue;
            };
            for (what, base, size) in &kept {
                if AddressRange::new(*base, *size).is_some_and(|kept| kept.overlaps(range)) {
                    broken.push(format!("{name}: {range} lies in {what}"));
                }
            }
            if guest.is_interrupt_controller(mapping) {
                continue;
            }
            for other in &guests[index + 1..] {
                let clash = |theirs: &&MappingEntry| {
                    !other.is_interrupt_controller(theirs)
                        && !may_share(mapping, theirs)
                        && physical(theirs).is_some_and(|theirs| theirs.overlaps(range))
                };
                if other.partition.mappings.iter().any(|theirs| clash(&theirs)) {
                    broken.push(format!(
                        "{name} and {}: both own {range}",
                        other.partition.name
                    ));
                }
            }
        }
    }
}

/// Mappings whose kind says that several partitions see them.
fn may_share(one: &MappingEntry, two: &MappingEntry) -> bool {
    one.kind == two.kind && !matches!(one.kind, MappingKind::Memory | MappingKind::Registers)
}

fn physical(mapping: &MappingEntry) -> Option<AddressRange> {
    AddressRange::new(mapping.pa, mapping.size)
}

fn interrupts_have_one_owner(guests: &[Guest<'_>], broken: &mut Vec<String>) {
    // Physical number, owner, number inside.
    let mut owners: Vec<(u32, &str, u32)> = Vec::new();
    for guest in guests {
        for interrupt in &guest.partition.interrupts {
            let (intid, name) = (interrupt.intid, guest.partition.name.as_str());
            let seen = match interrupt.seen {
                Some(seen) if EXTENDED_SPIS.contains(&intid) => seen,
                _ => intid,
            };
            if !SPIS.contains(&seen) {
                broken.push(format!("{name}: INTID {seen} is no SPI"));
            }
            let alike = |(_, owner, other): &&(u32, &str, u32)| *owner == name && *other == seen;
            if let Some((other, ..)) = owners.iter().find(alike) {
                broken.push(format!(
                    "{name}: INTIDs {other} and {intid} are {seen} inside"
                ));
            }
            if let Some((_, other, _)) = owners.iter().find(|(owned, ..)| *owned == intid) {
                broken.push(format!("INTID {intid} goes to {other} and to {name}"));
            }
            owners.push((intid, name, seen));
        }
    }
}

fn dedicated_cpus_have_one_owner(report: &Report, broken: &mut Vec<String>) {
    let dedicated = |pool: &str| {
        report
            .pools
            .iter()
            .any(|one| one.name == pool && one.policy == "dedicated")
    };
    let mut owners: Vec<(usize, &str, bool)> = Vec::new();
    for partition in &report.partitions {
        for vcpu in &partition.vcpus {
            let alone = dedicated(&vcpu.pool);
            for cpu in &vcpu.cpus {
                let clash = owners
                    .iter()
                    .find(|(owned, _, other)| owned == cpu && (alone || *other));
                if let Some((cpu, other, _)) = clash {
                    broken.push(format!("CPU {cpu} serves {other} and {}", partition.name));
                }
                owners.push((*cpu, &partition.name, alone));
            }
        }
    }
}

impl Guest<'_> {
    fn says(&self, node: NodeId, what: impl std::fmt::Display) -> String {
        format!("{}: {}: {what}", self.partition.name, self.tree.path(node))
    }

    fn controllers(&self) -> impl Iterator<Item = NodeId> {
        self.tree
            .nodes()
            .filter(|node| self.tree.has(*node, "interrupt-controller"))
            .filter(|node| self.tree.parent(*node) == Some(Tree::ROOT))
    }

    /// True for the page where hardware plays the interrupt controller's CPU interface (GICv2): each partition sees it.
    fn is_interrupt_controller(&self, mapping: &MappingEntry) -> bool {
        let mapped = AddressRange::new(mapping.ipa, mapping.size);
        let frames = self
            .controllers()
            .filter_map(|node| addresses::registers(&self.tree, node).ok());
        mapping.kind == MappingKind::Registers
            && mapped.is_some_and(|mapped| frames.flatten().any(|frame| frame.overlaps(mapped)))
    }

    fn phandles_resolve(&self, broken: &mut Vec<String>) {
        let tree = &self.tree;
        for node in tree.nodes() {
            for forbidden in FORBIDDEN.iter().filter(|name| tree.has(node, name)) {
                broken.push(self.says(node, format_args!("has `{forbidden}`")));
            }
            for (name, width) in REFERENCES {
                match tree.cells(node, name) {
                    Ok(Some(cells)) => {
                        if !self.all_resolve(&cells, width) {
                            broken.push(self.says(node, format_args!("`{name}` dangles")));
                        }
                    }
                    Ok(None) => {}
                    Err(error) => broken.push(self.says(node, error)),
                }
            }
        }
    }

    fn all_resolve(&self, mut cells: &[u32], width: Option<&str>) -> bool {
        while let Some((phandle, rest)) = cells.split_first() {
            // A hole keeps the numbers of the entries behind it.
            if *phandle == 0 && width.is_some() {
                cells = rest;
                continue;
            }
            let Some(provider) = self.tree.by_phandle(*phandle) else {
                return false;
            };
            let following = match width {
                None => 0,
                Some(width) => match self.tree.cell(provider, width) {
                    Ok(Some(count)) => count as usize,
                    _ => return false,
                },
            };
            match rest.get(following..) {
                Some(rest) => cells = rest,
                None => return false,
            }
        }
        true
    }

    /// Every register and every byte of memory that the tree names is mapped or emulated.
    fn registers_are_mapped(&self, broken: &mut Vec<String>) {
        let tree = &self.tree;
        let cpus = tree.find("/cpus");
        let emulated_console = (self.partition.console == "virtual")
            .then(|| tree.find("/chosen"))
            .flatten()
            .and_then(|chosen| tree.string(chosen, "stdout-path"))
            .and_then(|path| tree.find(path));
        for node in tree.nodes().filter(|node| tree.has(*node, "reg")) {
            let parent = tree.parent(node);
            let emulated =
                self.controllers().any(|one| one == node) || emulated_console == Some(node);
            // What is below something without `ranges` (a CPU, a device on a serial bus, a cell of an efuse) is no address of the
            // partition's.
            let has_addresses = self.above(node).all(|bus| tree.has(bus, "ranges"));
            if emulated || parent == cpus || !has_addresses {
                continue;
            }
            match addresses::registers(tree, node) {
                Ok(ranges) => {
                    for range in ranges.into_iter().filter(|range| !self.is_mapped(*range)) {
                        if self.is_played_page(node, range) {
                            continue;
                        }
                        broken.push(self.says(node, format_args!("{range} is not mapped")));
                    }
                }
                Err(error) => broken.push(self.says(node, error)),
            }
        }
    }

    /// The nodes between a node and the root.
    fn above(&self, node: NodeId) -> impl Iterator<Item = NodeId> {
        let parent = |node: &NodeId| self.tree.parent(*node);
        std::iter::successors(parent(&node), parent).filter(|node| *node != Tree::ROOT)
    }

    /// True for the page by which an end of a channel rings the others, and for a page of calls, which are emulated.
    fn is_played_page(&self, node: NodeId, range: AddressRange) -> bool {
        const NODES: [&str; 2] = ["bulkhead,channel", "bulkhead,control"];
        let mut played = self.partition.virtual_devices.iter();
        let compatible = self.tree.strings(node, "compatible");
        NODES.iter().any(|one| compatible.contains(one))
            && played.any(|one| (one.ipa, one.size) == (range.base, range.size))
    }

    /// True when mappings cover every page of a range.
    fn is_mapped(&self, range: AddressRange) -> bool {
        let mut left: Vec<AddressRange> = range.outward(PAGE).into_iter().collect();
        for mapping in &self.partition.mappings {
            if let Some(mapped) = AddressRange::new(mapping.ipa, mapping.size) {
                left = left
                    .into_iter()
                    .flat_map(|piece| piece.without(mapped))
                    .collect();
            }
        }
        left.is_empty()
    }

    fn lists_its_cpus(&self, broken: &mut Vec<String>) {
        let tree = &self.tree;
        let listed = tree.find("/cpus").map_or(0, |cpus| {
            let is_cpu = |node: &&NodeId| tree.string(**node, "device_type") == Some("cpu");
            tree.children(cpus).iter().filter(is_cpu).count()
        });
        if listed != self.partition.vcpus.len() {
            broken.push(format!(
                "{}: its tree lists {listed} CPUs, it has {}",
                self.partition.name,
                self.partition.vcpus.len()
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::compile_text;

    fn two_partitions() -> Proof {
        let text = "[system]\nname = \"two\"\nboard = \"lab\"\n[pools.p]\ncpus = [0, 1]\npolicy = \"dedicated\"\n\
            [[partition]]\nname = \"a\"\npool = \"p\"\nmemory = \"16MiB\"\nimage = \"program.elf\"\nconsole = \"virtual\"\n\
            devices = [\"/pl031@9010000\"]\n\
            [[partition]]\nname = \"b\"\npool = \"p\"\nmemory = \"16MiB\"\nimage = \"program.elf\"\ndevices = [\"/serial@9100000\"]\n";
        compile_text(text)
            .unwrap_or_else(|findings| panic!("{findings}"))
            .proof
    }

    /// What an audit says after `change` has broken a sound system.
    fn after(change: impl FnOnce(&mut Proof)) -> String {
        let mut proof = two_partitions();
        change(&mut proof);
        audit(&proof).join("\n")
    }

    /// Changes the tree of the first partition.
    fn after_tree(change: impl FnOnce(&mut Tree)) -> String {
        after(|proof| {
            let mut tree = Tree::read(&proof.guest_trees[0].1).unwrap();
            change(&mut tree);
            proof.guest_trees[0].1 = tree.write();
        })
    }

    #[test]
    fn sound_system_passes() {
        assert_eq!(after(|_| ()), "");
    }

    #[test]
    fn memory_of_two_owners_is_found() {
        let says = after(|proof| {
            let base = proof.report.partitions[1].mappings[0].pa;
            proof.report.partitions[0].mappings[0].pa = base;
        });
        assert!(says.contains("a and b: both own"), "{says}");
    }

    #[test]
    fn memory_in_the_image_is_found() {
        let says = after(|proof| {
            proof.report.partitions[1].mappings[0].pa = proof.report.image.base;
        });
        assert!(says.contains("lies in hypervisor"), "{says}");
    }

    #[test]
    fn extended_spi_without_an_spi_of_its_own_inside_is_found() {
        let says = after(|proof| {
            let interrupts = &mut proof.report.partitions[0].interrupts;
            let inside = interrupts[0].intid;
            let mut second = interrupts[0].clone();
            (second.intid, second.seen) = (4096, Some(inside));
            let mut third = second.clone();
            (third.intid, third.seen) = (4097, None);
            interrupts.extend([second, third]);
        });
        assert!(says.contains("and 4096 are 34 inside"), "{says}");
        assert!(says.contains("4097 is no SPI"), "{says}");
    }

    #[test]
    fn interrupt_of_two_owners_and_interrupt_that_is_no_spi_are_found() {
        let says = after(|proof| {
            let one = proof.report.partitions[0].interrupts[0].clone();
            proof.report.partitions[1].interrupts.push(one);
            proof.report.partitions[1].interrupts[0].intid = 27;
        });
        assert!(
            says.contains("goes to a and to b") && says.contains("27 is no SPI"),
            "{says}"
        );
    }

    #[test]
    fn cpu_of_two_owners_is_found() {
        let says = after(|proof| {
            proof.report.partitions[1].vcpus[0].cpus = vec![0];
        });
        assert_eq!(says, "CPU 0 serves a and b");
    }

    #[test]
    fn phandle_of_nothing_is_found() {
        let says = after_tree(|tree| {
            let rtc = tree.find("/pl031@9010000").unwrap();
            tree.set_cells(rtc, "clocks", &[0x7777]);
        });
        assert_eq!(says, "a: /pl031@9010000: `clocks` dangles");
    }

    #[test]
    fn stream_in_a_guest_tree_is_found() {
        let says = after_tree(|tree| {
            let rtc = tree.find("/pl031@9010000").unwrap();
            tree.set_cells(rtc, "iommus", &[1, 2]);
        });
        assert_eq!(says, "a: /pl031@9010000: has `iommus`");
    }

    #[test]
    fn registers_outside_the_mappings_are_found() {
        let says = after_tree(|tree| {
            let node = tree.add(Tree::ROOT, "foreign@9100000");
            tree.set_cells(node, "reg", &[0, 0x910_0000, 0, 0x1000]);
        });
        assert!(
            says.contains("/foreign@9100000: 0x9100000..0x9101000 is not mapped"),
            "{says}"
        );
    }

    #[test]
    fn cpu_too_many_is_found() {
        let says = after(|proof| {
            let mut more = proof.report.partitions[0].vcpus[0].clone();
            more.cpus = vec![7];
            proof.report.partitions[0].vcpus.push(more);
        });
        assert_eq!(says, "a: its tree lists 1 CPUs, it has 2");
    }
}
