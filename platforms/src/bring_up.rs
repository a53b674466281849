//! Is this the board that the image was built for? The device tree that firmware handed over is compared with what was known at build
//! time; a difference stops the boot with one line.

use fdt::Fdt;
use fdt::node::FdtNode;
use model::Mpidr;
use model::board::PhysicalGic;
use model::memory::{MemoryKind, PhysicalRange};

use crate::SYSTEM;
use crate::early::stop;

/// Longest device tree (Linux Documentation/arch/arm64/booting.rst).
const LONGEST: u32 = 2 << 20;

/// Reads the device tree at virtual address `va` and compares. `image` is where the image with its payload really lies.
///
/// # Safety
/// 2 MiB from `va` on are mapped for reading and nobody writes them.
pub unsafe fn compare(va: u64, image: PhysicalRange) {
    // SAFETY: the caller's guarantee.
    let tree = unsafe { read(va) };
    compatible(&tree);
    interrupt_controller(&tree);
    cpus(&tree);
    memory(&tree, image);
    #[cfg(feature = "smmuv3")]
    crate::dma::compare(&tree);
}

/// # Safety
/// As for [`compare`].
unsafe fn read(va: u64) -> Fdt<'static> {
    const MAGIC: u32 = 0xd00d_feed;
    let header = va as *const [u8; 4];
    // SAFETY: the caller's guarantee; a byte array needs no alignment.
    let (magic, size) = unsafe {
        (
            u32::from_be_bytes(*header),
            u32::from_be_bytes(*header.add(1)),
        )
    };
    if magic != MAGIC {
        stop(format_args!(
            "no device tree: x0 must point to one, as for Linux; found {magic:#010x} instead of {MAGIC:#010x}"
        ));
    }
    if size > LONGEST {
        stop(format_args!(
            "the device tree claims {size} bytes; at most {LONGEST} are allowed"
        ));
    }
    // SAFETY: the whole claimed size is mapped, by the caller's guarantee.
    let bytes = unsafe { core::slice::from_raw_parts(va as *const u8, size as usize) };
    match Fdt::new(bytes) {
        Ok(tree) => tree,
        Err(_) => stop(format_args!("the device tree is damaged")),
    }
}

fn first_compatible<'a>(node: &FdtNode<'_, 'a>) -> &'a str {
    node.compatible().map_or("", |list| list.first())
}

fn compatible(tree: &Fdt<'_>) {
    let Some(root) = tree.all_nodes().next() else {
        stop(format_args!("the device tree has no root"));
    };
    let found = first_compatible(&root);
    if found != SYSTEM.board.compatible {
        stop(format_args!(
            "wrong board: this image is for {} ({}), and the device tree is of \"{found}\"",
            SYSTEM.board.name, SYSTEM.board.compatible
        ));
    }
}

/// The first region of a node's `reg`.
fn base(node: &FdtNode<'_, '_>) -> Option<u64> {
    Some(node.reg()?.next()?.starting_address as u64)
}

fn interrupt_controller(tree: &Fdt<'_>) {
    let v2 = tree.find_compatible(&["arm,cortex-a15-gic", "arm,gic-400", "arm,cortex-a7-gic"]);
    let v3 = tree.find_compatible(&["arm,gic-v3"]);
    let (wanted, wanted_version, found) = match SYSTEM.board.gic {
        PhysicalGic::V2 { distributor, .. } => (distributor.get(), 2, &v2),
        PhysicalGic::V3 { distributor, .. } => (distributor.get(), 3, &v3),
    };
    let other = if wanted_version == 2 { &v3 } else { &v2 };
    match (found, other) {
        (Some(node), _) if base(node) == Some(wanted) => {}
        (Some(node), _) => stop(format_args!(
            "this image expects its GIC at {wanted:#x}, and this board has it at {:#x}",
            base(node).unwrap_or(0)
        )),
        (None, Some(_)) => stop(format_args!(
            "this image is for a GICv{wanted_version} ({}), and this board has a GICv{}",
            SYSTEM.board.name,
            5 - wanted_version
        )),
        (None, None) => stop(format_args!(
            "this image is for a GICv{wanted_version}, and the device tree has no GIC that Bulkhead knows"
        )),
    }
}

/// All nodes of a type. The crate's look-ups by path stop at the NOP words that firmware leaves where it has deleted something; a walk
/// over all nodes does not.
fn of_type<'b, 'a: 'b>(
    tree: &'b Fdt<'a>,
    wanted: &'static str,
) -> impl Iterator<Item = FdtNode<'b, 'a>> {
    tree.all_nodes().filter(move |node| {
        node.property("device_type")
            .is_some_and(|found| found.as_str() == Some(wanted))
    })
}

fn cpus(tree: &Fdt<'_>) {
    let present = |wanted: Mpidr| {
        of_type(tree, "cpu")
            .filter_map(|cpu| cpu.property("reg"))
            .any(|reg| big_endian(reg.value) == wanted.get())
    };
    let missing = SYSTEM.pcpus.iter().filter(|pcpu| !present(pcpu.mpidr));
    if let Some(first) = missing.clone().next() {
        stop(format_args!(
            "this system uses {} CPUs and {} of them are missing, first the one with affinity {:#x}; this board has {}",
            SYSTEM.pcpus.len(),
            missing.count(),
            first.mpidr.get(),
            of_type(tree, "cpu").count()
        ));
    }
}

fn big_endian(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |n, byte| n << 8 | u64::from(*byte))
}

fn memory(tree: &Fdt<'_>, image: PhysicalRange) {
    let there = |wanted: &PhysicalRange| {
        of_type(tree, "memory")
            .filter_map(|node| node.reg())
            .flatten()
            .any(|region| {
                PhysicalRange {
                    base: model::Pa::new(region.starting_address as u64),
                    size: region.size.unwrap_or(0) as u64,
                }
                .contains(wanted)
            })
    };
    if !there(&image) {
        stop(format_args!(
            "too little memory: the image needs {:#x} to {:#x}, which the device tree does not list",
            image.base.get(),
            image.base.get() + image.size
        ));
    }
    let check = |range: PhysicalRange, kind: &str, name: &str| {
        let (base, end) = (range.base.get(), range.base.get() + range.size);
        if !there(&range) {
            stop(format_args!(
                "too little memory: {kind} {name} needs {base:#x} to {end:#x}, which the device tree does not list"
            ));
        }
        if range.overlaps(&image) {
            stop(format_args!(
                "the image lies at {:#x}, in the memory of {kind} {name}; it was built to be loaded at {:#x}",
                image.base.get(),
                SYSTEM.board.load.get()
            ));
        }
    };
    for partition in SYSTEM.partitions {
        let ram = partition.memory.iter();
        for mapping in ram.filter(|mapping| mapping.kind == MemoryKind::Ram) {
            let range = PhysicalRange {
                base: mapping.pa,
                size: mapping.size,
            };
            check(range, "partition", partition.name);
        }
    }
    for channel in SYSTEM.channels {
        check(channel.memory, "channel", channel.name);
    }
}
