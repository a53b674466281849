//! The hypervisor's own map: what is code is not written, what is written is not code, and what it has no business with is not mapped.

use hv::arch::aarch64::boot::{IMAGE_VA, STACK_STRIDE, TRAMPOLINE_PAGE, physical};
use hv::memory::stage1::{INPUT_BITS, OwnMemory, Stage1};
use hv::memory::{FramePool, MapError, Table};
use model::Pa;
use model::board::PhysicalGic;
use model::memory::{MemoryKind, PAGE};

use crate::SYSTEM;
use crate::storage;

/// Where the device tree is read at boot, read-only, wherever it lies.
pub const DEVICE_TREE_VA: u64 = 0x0000_ff00_0000_0000;
/// A device tree is at most 2 MiB long and may begin anywhere in a block (Linux Documentation/arch/arm64/booting.rst).
const DEVICE_TREE_WINDOW: u64 = 4 << 20;
const BLOCK: u64 = 2 << 20;

unsafe extern "C" {
    static __image_start: u8;
    static __text_end: u8;
    static __rodata_end: u8;
    static __stacks_start: u8;
    static __boot_stack_start: u8;
    static __payload_start: u8;
}

/// Virtual address of the payload.
pub fn payload() -> u64 {
    (&raw const __payload_start) as u64
}

/// Virtual address of what is loaded from `offset`: in the payload, or in a file, which is mapped where it lies.
pub fn source(offset: u64) -> u64 {
    #[cfg(feature = "files")]
    if let Some(address) = model::file::address(offset) {
        return address;
    }
    payload() + offset
}

/// Virtual address at which the device tree at this physical address is seen.
pub fn device_tree(pa: u64) -> u64 {
    DEVICE_TREE_VA + (pa & (BLOCK - 1))
}

/// Builds the map for an image that lies at `load`, with the device tree at `tree`. Returns the root.
pub fn build(load: u64, tree: u64) -> Result<Pa, MapError> {
    let pages = storage::MAP.take();
    let base = Pa::new(physical(pages.as_ptr() as u64, load));
    // The linker aligned the pages, and the array does not reach the end of the address space.
    let mut pool = FramePool::new(pages, base).ok_or(MapError::Misaligned(base.get()))?;
    let mut table = Table::<Stage1>::new(&mut pool, INPUT_BITS)?;
    let mut map = |va: u64, pa: u64, size: u64, memory: OwnMemory| {
        table.map(va, Pa::new(pa), size, memory, &mut pool)
    };

    let start = (&raw const __image_start) as u64;
    let text_end = (&raw const __text_end) as u64;
    let rodata_end = (&raw const __rodata_end) as u64;
    let stacks = (&raw const __stacks_start) as u64;
    debug_assert!(start == IMAGE_VA);
    let mut image = |from: u64, to: u64, memory| {
        if from == to {
            return Ok(());
        }
        map(from, physical(from, load), to - from, memory)
    };
    image(start, text_end, OwnMemory::Code)?;
    image(text_end, rodata_end, OwnMemory::Constants)?;
    image(rodata_end, stacks & !(PAGE - 1), OwnMemory::Data)?;
    let mut stack =
        |bottom: u64, bytes: usize| image(bottom + PAGE, bottom + bytes as u64, OwnMemory::Data);
    for index in 0..storage::PCPUS {
        stack(stacks + (index * STACK_STRIDE) as u64, STACK_STRIDE)?;
    }
    let boot = (&raw const __boot_stack_start) as u64;
    stack(boot, storage::BOOT_STACK_BYTES)?;
    let payload_end = payload() + SYSTEM.payload_size.next_multiple_of(PAGE);
    image(payload(), payload_end, OwnMemory::Constants)?;
    let page = physical(TRAMPOLINE_PAGE, load);
    map(page, page, PAGE, OwnMemory::Code)?;
    map(
        DEVICE_TREE_VA,
        tree & !(BLOCK - 1),
        DEVICE_TREE_WINDOW,
        OwnMemory::Constants,
    )?;

    let mut device = |pa: Pa, size: u64| map(pa.get(), pa.get(), size, OwnMemory::Device);
    // Some boards have several ports in one page.
    let console = SYSTEM.board.console.base.get() & !(PAGE - 1);
    device(Pa::new(console), PAGE)?;
    match SYSTEM.board.gic {
        #[cfg(feature = "v2")]
        PhysicalGic::V2 {
            distributor,
            cpu,
            control,
            ..
        } => {
            device(distributor, PAGE)?;
            device(cpu, 2 * PAGE)?;
            device(control, PAGE)?;
        }
        PhysicalGic::V3 {
            distributor,
            redistributors,
            ..
        } => {
            device(distributor, 16 * PAGE)?;
            for region in redistributors {
                device(region.base, region.size)?;
            }
        }
    }
    #[cfg(feature = "its")]
    if let Some(its) = SYSTEM.board.its {
        device(its, 16 * PAGE)?;
    }
    #[cfg(feature = "iommu")]
    for registers in crate::dma::frames() {
        device(registers.base, registers.size)?;
    }
    #[cfg(feature = "pci")]
    for bridge in SYSTEM.bridges {
        device(bridge.configuration.base, bridge.configuration.size)?;
    }
    #[cfg(feature = "spin")]
    for page in crate::spin::pages() {
        map(page, page, PAGE, OwnMemory::Data)?;
    }
    #[cfg(feature = "monitor")]
    device(crate::records::PLACE.base, crate::records::PLACE.size)?;
    // Channels are cleared once, before anything runs.
    #[cfg(feature = "channels")]
    for channel in SYSTEM.channels {
        let base = channel.memory.base.get();
        map(base, base, channel.memory.size, OwnMemory::Data)?;
    }
    // Partitions' memory: their images are put there, at each start.
    for partition in SYSTEM.partitions {
        #[cfg(feature = "files")]
        if let Some(file) = partition.file {
            let base = file.place.base;
            map(
                base.get(),
                base.get(),
                file.place.size,
                OwnMemory::Constants,
            )?;
        }
        for mapping in partition.memory {
            if mapping.kind == MemoryKind::Ram {
                map(
                    mapping.pa.get(),
                    mapping.pa.get(),
                    mapping.size,
                    OwnMemory::Data,
                )?;
            }
        }
    }
    Ok(table.root())
}
