//! Is this the board that the image was built for? The device tree that firmware handed over is compared with what was known at build
//! time; a difference stops the boot with one line.

use model::board::PhysicalGic;
use model::memory::{MemoryKind, PhysicalRange};

use crate::SYSTEM;
use crate::early::stop;
use platforms::device_tree::{DeviceTree, Node, big_endian};

/// What is done about a difference: it ends the boot, or is told with the others.
pub type Differs = fn(core::fmt::Arguments<'_>);

/// Longest device tree (Linux Documentation/arch/arm64/booting.rst).
const LONGEST: u32 = 2 << 20;

/// Reads the device tree at virtual address `va` and compares. `image` is where the image with its payload really lies.
///
/// # Safety
/// 2 MiB from `va` on are mapped for reading and nobody writes them.
pub unsafe fn compare(va: u64, image: PhysicalRange) {
    // SAFETY: the caller's guarantee.
    let tree = unsafe { read(va) };
    let found = Found::in_tree(&tree);
    #[cfg(feature = "self-check")]
    told::compare(tree, &found, image);
    let differs: Differs = |what| stop(what);
    compatible(&found, differs);
    interrupt_controller(&found, differs);
    #[cfg(feature = "its")]
    its::compare(&found, differs);
    cpus(&found, differs);
    memory(&found, image, differs);
    #[cfg(feature = "iommu")]
    crate::dma::compare(&tree, differs);
    #[cfg(feature = "pci")]
    crate::pci::compare(&tree, differs);
}

/// # Safety
/// As for [`compare`].
unsafe fn read(va: u64) -> DeviceTree<'static> {
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
    match DeviceTree::new(bytes) {
        Some(tree) => tree,
        None => stop(format_args!("the device tree is damaged")),
    }
}

/// What is compared, collected in one walk over the tree: a walk takes longer than all else at boot.
struct Found<'a> {
    /// The root's first `compatible`.
    board: Option<&'a str>,
    /// First register frame of a GICv2 and of a GICv3; 0 where it cannot be read.
    controllers: [Option<u64>; 2],
    /// There is an ITS where the system uses one.
    #[cfg(feature = "its")]
    its: bool,
    /// How many CPUs there are.
    cpus: usize,
    /// Which of the system's CPUs are among them.
    present: [bool; SYSTEM.pcpus.len()],
    memory: heapless::Vec<PhysicalRange, MEMORY_REGIONS>,
}

/// `compatible` of each.
const CONTROLLERS: [&[&str]; 2] = [
    &["arm,cortex-a15-gic", "arm,gic-400", "arm,cortex-a7-gic"],
    &["arm,gic-v3"],
];

/// Most regions of memory that a device tree may list.
const MEMORY_REGIONS: usize = 64;

impl<'a> Found<'a> {
    fn in_tree(tree: &DeviceTree<'a>) -> Self {
        let mut found = Self {
            board: None,
            controllers: [None; 2],
            #[cfg(feature = "its")]
            its: false,
            cpus: 0,
            present: [false; SYSTEM.pcpus.len()],
            memory: heapless::Vec::new(),
        };
        let mut nodes = tree.nodes();
        for (index, node) in nodes.by_ref().enumerate() {
            let (mut kind, mut compatible, mut reg): (&[u8], &[u8], &[u8]) = (&[], &[], &[]);
            for (name, value) in node.properties() {
                match name {
                    b"device_type" => kind = value,
                    b"compatible" => compatible = value,
                    b"reg" => reg = value,
                    _ => {}
                }
            }
            let mut names = compatible.split(|byte| *byte == 0);
            if index == 0 {
                found.board = names.next().and_then(|name| str::from_utf8(name).ok());
                continue;
            }
            match kind {
                b"cpu\0" => found.add_cpu(big_endian(reg)),
                b"memory\0" => found.add_memory(&node),
                _ => {
                    #[cfg(feature = "its")]
                    found.add_its(&node, names.clone());
                    found.add_controller(&node, names);
                }
            }
        }
        if !nodes.is_whole() {
            stop(format_args!("the device tree is damaged"));
        }
        found
    }

    fn add_cpu(&mut self, affinity: u64) {
        self.cpus += 1;
        for (pcpu, present) in SYSTEM.pcpus.iter().zip(&mut self.present) {
            *present |= pcpu.mpidr.get() == affinity;
        }
    }

    fn add_memory(&mut self, node: &Node<'_>) {
        for (base, size) in node.reg() {
            let region = PhysicalRange {
                base: model::Pa::new(base),
                size,
            };
            if self.memory.push(region).is_err() {
                stop(format_args!(
                    "the device tree lists more than {MEMORY_REGIONS} regions of memory"
                ));
            }
        }
    }

    fn add_controller<'n>(
        &mut self,
        node: &Node<'_>,
        names: impl Iterator<Item = &'n [u8]> + Clone,
    ) {
        for (known, base) in CONTROLLERS.iter().zip(&mut self.controllers) {
            if base.is_none()
                && names
                    .clone()
                    .any(|name| known.iter().any(|known| known.as_bytes() == name))
            {
                *base = Some(node.reg().next().map_or(0, |(base, _)| base));
            }
        }
    }
}

#[cfg(feature = "its")]
mod its;
#[cfg(feature = "self-check")]
mod told;

fn compatible(found: &Found<'_>, differs: Differs) {
    match found.board {
        None => differs(format_args!("the device tree has no root")),
        Some(board) if board != SYSTEM.board.compatible => differs(format_args!(
            "wrong board: this image is for {} ({}), and the device tree is of \"{board}\"",
            SYSTEM.board.name, SYSTEM.board.compatible
        )),
        Some(_) => {}
    }
}

fn interrupt_controller(found: &Found<'_>, differs: Differs) {
    let [v2, v3] = found.controllers;
    let (wanted, version, own, other) = match SYSTEM.board.gic {
        #[cfg(feature = "v2")]
        PhysicalGic::V2 { .. } => (SYSTEM.board.gic_reg, 2, v2, v3),
        PhysicalGic::V3 { .. } => (SYSTEM.board.gic_reg, 3, v3, v2),
    };
    match (own, other) {
        (Some(base), _) if base == wanted => {}
        (Some(base), _) => differs(format_args!(
            "this image expects its GIC at {wanted:#x}, and this board has it at {base:#x}"
        )),
        (None, Some(_)) => differs(format_args!(
            "this image is for a GICv{version} ({}), and this board has a GICv{}",
            SYSTEM.board.name,
            5 - version
        )),
        (None, None) => differs(format_args!(
            "this image is for a GICv{version}, and the device tree has no GIC that Bulkhead knows"
        )),
    }
}

fn cpus(found: &Found<'_>, differs: Differs) {
    let pcpus = SYSTEM.pcpus.iter().zip(&found.present);
    let mut missing = pcpus.filter(|(_, present)| !**present);
    if let Some((first, _)) = missing.next() {
        differs(format_args!(
            "this system uses {} CPUs and {} of them are missing, first the one with affinity {:#x}; this board has {}",
            SYSTEM.pcpus.len(),
            1 + missing.count(),
            first.mpidr.get(),
            found.cpus
        ));
    }
}

fn memory(found: &Found<'_>, image: PhysicalRange, differs: Differs) {
    let there = |wanted: &PhysicalRange| found.memory.iter().any(|region| region.contains(wanted));
    if !there(&image) {
        differs(format_args!(
            "too little memory: the image needs {:#x} to {:#x}, which the device tree does not list",
            image.base.get(),
            image.base.get() + image.size
        ));
    }
    let check = |range: PhysicalRange, kind: &str, name: &str| {
        let (base, end) = (range.base.get(), range.base.get() + range.size);
        if !there(&range) {
            differs(format_args!(
                "too little memory: {kind} {name} needs {base:#x} to {end:#x}, which the device tree does not list"
            ));
        }
        if range.overlaps(&image) {
            differs(format_args!(
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
    #[cfg(feature = "files")]
    for partition in SYSTEM.partitions {
        if let Some(file) = partition.file {
            check(file.place, "the file of", partition.name);
        }
    }
    #[cfg(feature = "channels")]
    for channel in SYSTEM.channels {
        check(channel.memory, "channel", channel.name);
    }
}
