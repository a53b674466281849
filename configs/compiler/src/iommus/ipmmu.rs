//! A Renesas IPMMU on the board: a main instance and its caches, which the image drives as one IOMMU.

use model::ids::{Pa, PartitionId, StreamId};
use model::iommu::IommuKind as IommuDriver;
use model::ipmmu::{Generation, Ipmmu, Revision, Tables};
use model::memory::Mapping;

use super::Driven;
use crate::board::{Board, Iommu};
use crate::devicetree::addresses::registers;
use crate::devicetree::streams::{Ids, IommuKind};
use crate::devicetree::{NodeId, Tree};
use crate::range::AddressRange;
use crate::stage2::Extent;
use crate::system::System;

/// What the tables of an IPMMU reach that has its own: 32 bits of address.
const REACH: u64 = 1 << 32;

/// An IPMMU that the image can drive.
pub(crate) struct Found<'a> {
    pub what: Ipmmu,
    pub main: &'a Iommu,
    /// In the order of their numbers.
    pub caches: Vec<&'a Iommu>,
}

/// Product registers of R-Car: a revision of 0x20 is ES3.0.
const ES3: u8 = 0x20;

/// What is known of a chip's IPMMU, by the `compatible` of its main instance. Linux' driver has the generations; Xen's has the chips whose
/// IPMMU walks the CPU's tables (`ipmmu_stage2_supported`), and shares them on no other.
const CHIPS: &[(&str, Generation, Tables, Option<u8>)] = {
    use Generation::{Gen3, Gen4};
    use Tables::{Stage1, Stage2};
    &[
        // From ES3.0 on; before, Linux' driver uses it for nothing.
        ("renesas,ipmmu-r8a7795", Gen3, Stage2, Some(ES3)),
        ("renesas,ipmmu-r8a77961", Gen3, Stage2, None),
        ("renesas,ipmmu-r8a77965", Gen3, Stage2, None),
        ("renesas,ipmmu-r8a77970", Gen3, Stage1, None),
        ("renesas,ipmmu-r8a77980", Gen3, Stage1, None),
        ("renesas,ipmmu-r8a77990", Gen3, Stage1, None),
        ("renesas,ipmmu-r8a77995", Gen3, Stage1, None),
        ("renesas,ipmmu-r8a774b1", Gen3, Stage1, None),
        ("renesas,ipmmu-r8a774c0", Gen3, Stage1, None),
        ("renesas,ipmmu-r8a774e1", Gen3, Stage1, None),
        ("renesas,ipmmu-r8a779a0", Gen4, Stage1, None),
        ("renesas,ipmmu-r8a779f0", Gen4, Stage2, None),
        ("renesas,ipmmu-r8a779g0", Gen4, Stage2, None),
        ("renesas,ipmmu-r8a779h0", Gen4, Stage1, None),
    ]
};

/// The generation of an instance's chip, for what must be known of IPMMUs that are not driven, too.
pub(crate) fn generation(tree: &Tree, node: NodeId) -> Generation {
    let chip = CHIPS
        .iter()
        .find(|(name, ..)| tree.is_compatible(node, &[name]));
    chip.map_or(Generation::Gen3, |(_, generation, ..)| *generation)
}

/// The IPMMU of which `iommu` is an instance.
///
/// # Errors
/// Why the image cannot drive it.
pub(crate) fn of<'a>(board: &'a Board, iommu: &'a Iommu) -> Result<Found<'a>, String> {
    let main = match iommu.main {
        Some(node) => board.iommu(node),
        None => Some(iommu),
    };
    let main = main
        .filter(|main| main.kind == IommuKind::Ipmmu && main.main.is_none())
        .ok_or_else(|| {
            format!(
                "`renesas,ipmmu-main` of {} leads to no main IPMMU",
                iommu.path
            )
        })?;
    let what = known(&board.tree, main)?;
    usable(&board.tree, main, what.generation)?;
    let caches = board.iommus.iter().filter(|one| {
        one.main == Some(main.node)
            && one.kind == IommuKind::Ipmmu
            && usable(&board.tree, one, what.generation).is_ok()
    });
    let caches: Vec<&Iommu> = caches.collect();
    if caches.len() > Ipmmu::MOST_CACHES {
        return Err(format!("{} has {} caches", main.path, caches.len()));
    }
    Ok(Found { what, main, caches })
}

/// Sees that such streams behind an instance can be confined.
///
/// # Errors
/// Why they cannot.
pub(super) fn drives(board: &Board, iommu: &Iommu, ids: Ids) -> Result<(), String> {
    let found = of(board, iommu)?;
    if found.main.node == iommu.node {
        return Err(format!(
            "{} is a main IPMMU, which no device is behind",
            iommu.path
        ));
    }
    let generation = found.what.generation;
    usable(&board.tree, iommu, generation)?;
    if ids.last() >= u32::from(generation.micro_tlbs()) {
        return Err(format!("{} has no micro-TLB {}", iommu.path, ids.last()));
    }
    Ok(())
}

/// The IPMMUs that the image of a system drives, each with all its instances.
pub(super) fn driven(system: &System) -> impl Iterator<Item = Driven> {
    let mains = system.board.iommus.iter().filter(|one| one.main.is_none());
    mains.filter_map(|main| {
        let found = of(&system.board, main).ok()?;
        let registers = |one: &Iommu| {
            let base = one.registers.first()?.base;
            AddressRange::new(base, found.what.generation.registers())
        };
        let instances: Option<Vec<AddressRange>> =
            found.caches.iter().map(|cache| registers(cache)).collect();
        let streams = (0..).zip(&found.caches).flat_map(|(number, cache)| {
            let mut owned = super::owned(system, cache);
            for one in &mut owned {
                one.streams.first =
                    StreamId::new(Ipmmu::stream(number, 0) | one.streams.first.get());
            }
            owned
        });
        // Its second interrupt is for what Secure software does.
        let interrupt = main.interrupts.first().map(|one| one.intid);
        Some(Driven {
            path: main.path.clone(),
            kind: IommuDriver::Ipmmu(found.what),
            registers: registers(main)?,
            instances: instances?,
            coherent: false,
            interrupts: interrupt.filter(|one| one.is_spi()).into_iter().collect(),
            owned: streams.collect(),
        })
    })
}

/// The end of the addresses that a partition's devices reach behind IPMMUs; `None` when it has no devices there.
pub(crate) fn reach(driven: &[Driven], partition: PartitionId) -> Option<u64> {
    let behind = driven.iter().filter(|one| {
        let mut owned = one.owned.iter();
        owned.any(|owned| owned.partition == partition)
    });
    let reaches = behind.filter_map(|one| match one.kind {
        IommuDriver::Ipmmu(what) => Some(match what.tables {
            Tables::Stage1 => REACH,
            Tables::Stage2 => 1 << 40,
        }),
        _ => None,
    });
    reaches.min()
}

/// What there is of a partition's mappings for devices behind an IPMMU that has tables of its own; `None` for a partition without such.
pub(crate) fn own_table(
    driven: &[Driven],
    partition: PartitionId,
    mappings: &[Mapping],
) -> Option<Vec<Extent>> {
    let apart = |one: &&Driven| matches!(one.kind, IommuDriver::Ipmmu(what) if what.tables == Tables::Stage1);
    let mut all = driven.iter().filter(apart).flat_map(|one| &one.owned);
    if !all.any(|owned| owned.partition == partition) {
        return None;
    }
    let reached = mappings.iter().filter(|one| one.ipa.get() < REACH);
    let extents = reached.map(|one| Extent {
        ipa: one.ipa.get(),
        pa: one.pa.get(),
        size: one.size.min(REACH - one.ipa.get()),
    });
    Some(extents.collect())
}

fn known(tree: &Tree, main: &Iommu) -> Result<Ipmmu, String> {
    let chip = CHIPS
        .iter()
        .find(|(name, ..)| tree.is_compatible(main.node, &[name]));
    let (_, generation, tables, oldest) =
        chip.ok_or_else(|| format!("{} is that of an unknown chip", main.path))?;
    let revision = match oldest {
        None => None,
        Some(least) => Some(Revision {
            register: product(tree).ok_or_else(|| {
                "the chip's revision is not known: the tree has no node `renesas,prr`".to_owned()
            })?,
            least: *least,
        }),
    };
    Ok(Ipmmu {
        generation: *generation,
        tables: *tables,
        revision,
    })
}

/// Where the product register is.
fn product(tree: &Tree) -> Option<Pa> {
    let node = tree
        .nodes()
        .find(|node| tree.is_compatible(*node, &["renesas,prr"]))?;
    let register = *registers(tree, node).ok()?.first()?;
    let whole = register.size >= 4 && register.base.is_multiple_of(4);
    whole.then(|| Pa::new(register.base))
}

/// Whether the hypervisor may touch an instance at any time.
fn usable(tree: &Tree, iommu: &Iommu, generation: Generation) -> Result<(), String> {
    if !iommu.enabled {
        return Err(format!("{} is disabled", iommu.path));
    }
    let whole = iommu.registers.first().is_some_and(|registers| {
        registers.base.is_multiple_of(0x1000) && registers.size >= generation.registers()
    });
    if !whole {
        return Err(format!(
            "{} has less than {:#x} bytes of registers, or none",
            iommu.path,
            generation.registers()
        ));
    }
    if !is_always_on(tree, iommu.node, generation) {
        return Err(format!(
            "{} is in a power domain that can be turned off, and forgets then what it is to deny",
            iommu.path
        ));
    }
    Ok(())
}

/// True when nobody can turn the instance off. What stands for "always on" is a number of the bindings `r8a77*-sysc.h`.
fn is_always_on(tree: &Tree, node: NodeId, generation: Generation) -> bool {
    let always = match generation {
        Generation::Gen3 => 32,
        Generation::Gen4 => 64,
    };
    match tree.cells(node, "power-domains") {
        Ok(None) => true,
        Ok(Some(cells)) => match cells[..] {
            [provider, domain] => {
                let sysc = tree.by_phandle(provider).is_some_and(|node| {
                    let names = tree.strings(node, "compatible");
                    names.iter().any(|name| name.ends_with("-sysc"))
                });
                sysc && domain == always
            }
            _ => false,
        },
        Err(_) => false,
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::testing::{Gic, board, device, virt};

    /// `virt` with an IPMMU of this chip: a main instance, two caches that are always on, and one that is not.
    pub(crate) fn tree(chip: &str) -> Tree {
        let mut tree = virt(Gic::V3);
        let sysc = device(
            &mut tree,
            "sysc@9180000",
            "renesas,r8a7795-sysc",
            0x918_0000,
            60,
        );
        tree.set_cells(sysc, "#power-domain-cells", &[1]);
        tree.set_cells(sysc, "phandle", &[0x9200]);
        let prr = device(&mut tree, "chipid@fff00044", "renesas,prr", 0xfff0_0044, 61);
        tree.set_cells(prr, "reg", &[0, 0xfff0_0044, 0, 4]);
        tree.remove(prr, "interrupts");
        let compatible = format!("renesas,ipmmu-{chip}");
        for (index, domain) in [32, 32, 32, 24].into_iter().enumerate() {
            let base = 0xa00_0000 + index as u32 * 0x10_0000;
            let name = format!("iommu@{base:x}");
            let node = device(&mut tree, &name, &compatible, base, 62);
            let gen4 = chip.as_bytes()[6].is_ascii_alphabetic();
            let (size, always) = if gen4 { (0x2_0000, 64) } else { (0x1000, 32) };
            tree.set_cells(node, "reg", &[0, base, 0, size]);
            tree.set_cells(node, "#iommu-cells", &[1]);
            tree.set_cells(node, "phandle", &[0x9210 + index as u32]);
            let domain = if domain == 32 { always } else { domain };
            tree.set_cells(node, "power-domains", &[0x9200, domain]);
            match index {
                0 => tree.set_cells(node, "interrupts", &[0, 62, 4, 0, 63, 4]),
                _ => {
                    tree.remove(node, "interrupts");
                    tree.set_cells(node, "renesas,ipmmu-main", &[0x9210, index as u32]);
                }
            }
        }
        tree
    }

    /// Why a stream behind an instance cannot be confined.
    fn obstacle_at(tree: Tree, path: &str) -> Option<String> {
        let node = tree.find(path).unwrap();
        let board = board(tree);
        drives(&board, board.iommu(node).unwrap(), Ids::one(47)).err()
    }

    #[test]
    fn ipmmu_has_those_caches_that_are_always_on() {
        let board = board(tree("r8a7795"));
        let main = board.tree.find("/iommu@a000000").unwrap();
        let found = of(&board, board.iommu(main).unwrap()).unwrap();
        let caches: Vec<&str> = found.caches.iter().map(|one| one.path.as_str()).collect();
        assert_eq!(caches, ["/iommu@a100000", "/iommu@a200000"]);
    }

    #[test]
    fn chips_differ_in_registers_tables_and_oldest_revision() {
        let known = |chip| {
            let board = board(tree(chip));
            let main = board.tree.find("/iommu@a000000").unwrap();
            of(&board, board.iommu(main).unwrap()).map(|found| found.what)
        };
        let h3 = Ipmmu {
            generation: Generation::Gen3,
            tables: Tables::Stage2,
            revision: Some(Revision {
                register: Pa::new(0xfff0_0044),
                least: 0x20,
            }),
        };
        assert_eq!(known("r8a7795"), Ok(h3));
        let others = ["r8a77965", "r8a77990", "r8a779f0", "r8a779a0"];
        let found = others.map(|chip| known(chip).map(|what| (what.generation, what.tables)));
        let expected = [
            (Generation::Gen3, Tables::Stage2),
            (Generation::Gen3, Tables::Stage1),
            (Generation::Gen4, Tables::Stage2),
            (Generation::Gen4, Tables::Stage1),
        ];
        assert_eq!(found, expected.map(Ok));
    }

    #[test]
    fn streams_behind_a_cache_that_is_always_on_meet_no_obstacle() {
        assert_eq!(obstacle_at(tree("r8a7795"), "/iommu@a200000"), None);
    }

    #[test]
    fn each_obstacle_is_named() {
        let cache = "/iommu@a100000";
        let with = |change: fn(&mut Tree, NodeId)| {
            let mut tree = tree("r8a7795");
            let node = tree.find(cache).unwrap();
            change(&mut tree, node);
            obstacle_at(tree, cache).unwrap()
        };
        for (says, found) in [
            (
                "unknown chip",
                obstacle_at(tree("r8a77951"), cache).unwrap(),
            ),
            (
                "power domain",
                obstacle_at(tree("r8a7795"), "/iommu@a300000").unwrap(),
            ),
            (
                "main IPMMU, which no device is behind",
                obstacle_at(tree("r8a7795"), "/iommu@a000000").unwrap(),
            ),
            (
                "leads to no main",
                with(|tree, node| tree.set_cells(node, "renesas,ipmmu-main", &[0x9211, 0])),
            ),
            (
                "less than 0x1000 bytes",
                with(|tree, node| tree.set_cells(node, "reg", &[0, 0xa10_0000, 0, 0x800])),
            ),
            (
                "is disabled",
                with(|tree, node| tree.set_string(node, "status", "disabled")),
            ),
            (
                "/iommu@a000000 is disabled",
                with(|tree, _| {
                    let main = tree.find("/iommu@a000000").unwrap();
                    tree.set_string(main, "status", "disabled");
                }),
            ),
            (
                "no node `renesas,prr`",
                with(|tree, _| {
                    let prr = tree.find("/chipid@fff00044").unwrap();
                    tree.set_string(prr, "compatible", "other");
                }),
            ),
            (
                "power domain",
                with(|tree, node| tree.set_cells(node, "power-domains", &[0x9200])),
            ),
        ] {
            assert!(found.contains(says), "{says}: {found}");
        }
    }

    #[test]
    fn more_caches_than_the_driver_has_room_for_are_refused() {
        let mut tree = tree("r8a7795");
        for index in 0..32 {
            let base = 0xb00_0000 + index * 0x1000;
            let name = format!("iommu@{base:x}");
            let node = device(&mut tree, &name, "renesas,ipmmu-r8a7795", base, 62);
            tree.set_cells(node, "reg", &[0, base, 0, 0x1000]);
            tree.set_cells(node, "#iommu-cells", &[1]);
            tree.remove(node, "interrupts");
            tree.set_cells(node, "renesas,ipmmu-main", &[0x9210, 0]);
        }
        let found = obstacle_at(tree, "/iommu@a100000").unwrap();
        assert!(found.contains("34 caches"), "{found}");
    }
}
