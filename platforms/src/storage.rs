//! Everything that is sized by the system: tables, stacks, state. Nothing else is ever allocated.

use core::cell::UnsafeCell;
use core::sync::atomic::AtomicPtr;

use gic::virt::{Grants, Interrupt, Shown, VcpuState};
use hv::arch::aarch64::boot::STACK_STRIDE;
use hv::console::Ring;
use hv::memory::Page;
use hv::partition::{Partition, VcpuShared};
use hv::sync::BootCell;
use hv::terminal::Terminal;
use hv::vcpu::{Hypervisor, Vcpu};
use static_cell::{ConstStaticCell, StaticCell};

use crate::SYSTEM;
#[cfg(feature = "iommu")]
use crate::dma::MOST_FRAMES as IOMMU_FRAMES;
use crate::machine::Board;
#[cfg(feature = "pci")]
use crate::pci::BRIDGES;
use crate::serial::Serial;
use crate::shared;

/// Partitions.
pub const PARTITIONS: usize = SYSTEM.partitions.len();
/// Virtual CPUs.
pub const VCPUS: usize = SYSTEM.total_vcpus();
/// Physical CPUs in use.
pub const PCPUS: usize = SYSTEM.pcpus.len();
/// Sources of text: partitions and the hypervisor.
pub const SOURCES: usize = PARTITIONS + 1;

#[cfg(not(feature = "iommu"))]
const IOMMU_FRAMES: usize = 0;
#[cfg(not(feature = "pci"))]
const BRIDGES: usize = 0;
#[cfg(feature = "channels")]
const CHANNELS: usize = SYSTEM.channels.len();
#[cfg(not(feature = "channels"))]
const CHANNELS: usize = 0;

/// Pages for the hypervisor's own map. The image, the device tree and the devices take at most three tables each; so does each mapping
/// of a partition, its file, each channel, each range of registers of an IOMMU and each PCI host bridge.
pub const MAP_PAGES: usize = 24 + 3 * (mappings() + CHANNELS + IOMMU_FRAMES + BRIDGES);

const fn mappings() -> usize {
    let mut sum = 0;
    let mut i = 0;
    while i < PARTITIONS {
        #[allow(clippy::indexing_slicing, reason = "evaluated when compiled")]
        let partition = &SYSTEM.partitions[i];
        sum += partition.memory.len();
        #[cfg(feature = "files")]
        if partition.file.is_some() {
            sum += 1;
        }
        i += 1;
    }
    sum
}

/// The hypervisor's own translation.
pub static MAP: ConstStaticCell<[Page; MAP_PAGES]> =
    ConstStaticCell::new([const { Page::zeroed() }; MAP_PAGES]);
/// Pages for all partitions' translations. Address spaces of 40 to 42 bits begin with several tables in a row, aligned to their total
/// size: what comes before the first such address may be lost.
const STAGE2_PAGES: usize = SYSTEM.stage2_pages
    + match SYSTEM.ipa_bits {
        bits @ 40..=42 => (1 << (bits - 39)) - 1,
        _ => 0,
    };
/// All partitions' translations.
pub static STAGE2: ConstStaticCell<[Page; STAGE2_PAGES]> =
    ConstStaticCell::new([const { Page::zeroed() }; STAGE2_PAGES]);
/// State of virtual interrupts.
pub static VIRTUAL_CPU_INTERFACES: ConstStaticCell<[VcpuState; VCPUS]> =
    ConstStaticCell::new([const { VcpuState::ROOM }; VCPUS]);
/// State of virtual SPIs.
pub static VIRTUAL_SPIS: ConstStaticCell<[Interrupt; SYSTEM.total_spis()]> =
    ConstStaticCell::new([const { Interrupt::ROOM }; SYSTEM.total_spis()]);
/// What is read without a lock.
pub static SHOWN: [Shown; PARTITIONS] = [const { Shown::new() }; PARTITIONS];
/// What the exit vectors may deliver.
pub static GRANTS: [Grants; VCPUS] = [const { Grants::NEW }; VCPUS];
/// What virtual CPUs share.
pub static SHARED: StaticCell<heapless::Vec<VcpuShared, VCPUS>> = StaticCell::new();
/// Partitions.
pub static PARTITION_STATE: StaticCell<heapless::Vec<Partition, PARTITIONS>> = StaticCell::new();
/// Virtual CPUs.
pub static VCPU_STATE: StaticCell<heapless::Vec<Vcpu<Board>, VCPUS>> = StaticCell::new();
/// Text on its way.
pub static RINGS: [Ring; SOURCES] = [const { Ring::new() }; SOURCES];
/// The console.
pub static TERMINAL: BootCell<Terminal<Serial, SOURCES>> = BootCell::new();
/// The hypervisor.
pub static HYPERVISOR: BootCell<Hypervisor<Board>> = BootCell::new();
/// The virtual CPU of each pCPU, until the pCPU takes it.
pub static ASSIGNED: [AtomicPtr<Vcpu<Board>>; PCPUS] =
    [const { AtomicPtr::new(core::ptr::null_mut()) }; PCPUS];

/// A stack, with a page below it that is not mapped.
#[repr(C, align(16384))]
pub struct Stack<const BYTES: usize>(UnsafeCell<[u8; BYTES]>);

// SAFETY: each is used by one CPU, as its stack; nothing else refers to it.
unsafe impl<const BYTES: usize> Sync for Stack<BYTES> {}

/// One for each pCPU.
#[unsafe(link_section = ".stacks")]
pub static STACKS: [Stack<STACK_STRIDE>; PCPUS] =
    [const { Stack(UnsafeCell::new([0; STACK_STRIDE])) }; PCPUS];

/// Bytes of the boot CPU's stack while it boots, with the page below it. What grows with the system is put together there and moved to its place, and
/// the compiler keeps up to so many copies: the build measures the stack that the linked image takes and holds it to this.
pub const BOOT_STACK_BYTES: usize = {
    const COPIES: usize = 2;
    let growing = size_of::<Terminal<Serial, SOURCES>>() + shared::LARGEST;
    (STACK_STRIDE + COPIES * growing).next_multiple_of(STACK_STRIDE)
};

/// For the boot CPU while it boots.
#[unsafe(link_section = ".stacks.boot")]
pub static BOOT_STACK: Stack<BOOT_STACK_BYTES> = Stack(UnsafeCell::new([0; BOOT_STACK_BYTES]));

/// For the assembly: a static that holds an address.
#[repr(transparent)]
pub struct Address(*const Stack<0>);

// SAFETY: an address is only a number here.
unsafe impl Sync for Address {}

#[unsafe(no_mangle)]
#[allow(non_upper_case_globals, reason = "named for the assembly")]
static bulkhead_stacks_base: Address = Address(STACKS.as_ptr().cast());

#[unsafe(no_mangle)]
#[allow(non_upper_case_globals, reason = "named for the assembly")]
// SAFETY: one past the end of the stack.
static bulkhead_boot_stack_top: Address = Address(unsafe { (&raw const BOOT_STACK).add(1).cast() });

/// Top of a pCPU's stack.
pub fn stack_top(pcpu: usize) -> u64 {
    STACKS.as_ptr() as u64 + (pcpu as u64 + 1) * STACK_STRIDE as u64
}
