//! Everything that is sized by the system: tables, stacks, state. Nothing else is ever allocated.

use core::cell::UnsafeCell;

use hv::console::Ring;
use hv::memory::Page;
use hv::sync::{BootCell, TicketLock};
use hv::terminal::Terminal;
use static_cell::ConstStaticCell;
use x86_port::policy::serial::Serial;

use crate::console::Port;
use crate::exceptions::Tables;
use crate::partition::Partition;
use crate::{SYSTEM, dma};

/// Partitions.
pub const PARTITIONS: usize = SYSTEM.partitions.len();
/// Physical CPUs in use.
pub const PCPUS: usize = SYSTEM.pcpus.len();
/// Sources of text: partitions and the hypervisor.
pub const SOURCES: usize = PARTITIONS + 1;

/// Pages for the hypervisor's own map: the image's parts take three tables each at most, and so do each mapping of a partition, each channel, and
/// what is not cached.
const MAP_PAGES: usize = 30 + 3 * (mappings() + SYSTEM.channels.len() + dma::PIECES + PCPUS + 1);

const fn mappings() -> usize {
    let mut sum = 0;
    let mut i = 0;
    while i < PARTITIONS {
        #[allow(clippy::indexing_slicing, reason = "evaluated when compiled")]
        let partition = &SYSTEM.partitions[i];
        sum += partition.memory.len();
        i += 1;
    }
    sum
}

/// The hypervisor's own translation.
pub static MAP: ConstStaticCell<[Page; MAP_PAGES]> =
    ConstStaticCell::new([const { Page::zeroed() }; MAP_PAGES]);
/// All partitions' translations.
pub static NESTED: ConstStaticCell<[Page; SYSTEM.nested_pages]> =
    ConstStaticCell::new([const { Page::zeroed() }; SYSTEM.nested_pages]);
/// Partitions.
pub static PARTITION_STATE: [Partition; PARTITIONS] = [const { Partition::NEW }; PARTITIONS];
/// The partitions' serial ports.
pub static SERIALS: [BootCell<TicketLock<Serial>>; PARTITIONS] =
    [const { BootCell::new() }; PARTITIONS];
/// Descriptor tables of each pCPU.
pub static TABLES: [ConstStaticCell<Tables>; PCPUS] =
    [const { ConstStaticCell::new(Tables::new()) }; PCPUS];
/// Text on its way.
pub static RINGS: [Ring; SOURCES] = [const { Ring::new() }; SOURCES];
/// The console.
pub static TERMINAL: BootCell<Terminal<Port, SOURCES>> = BootCell::new();

/// Bytes of a stack, the page at its lower end included, which is not mapped.
pub const STACK_SIZE: usize = 16384;

/// A stack.
#[repr(C, align(16384))]
pub struct Stack(UnsafeCell<[u8; STACK_SIZE]>);

// SAFETY: each is used by one CPU, as its stack; nothing else refers to it.
unsafe impl Sync for Stack {}

/// One stack for each pCPU, and one for the boot CPU while it boots.
#[unsafe(link_section = ".stacks")]
pub static STACKS: [Stack; PCPUS + 1] =
    [const { Stack(UnsafeCell::new([0; STACK_SIZE])) }; PCPUS + 1];

/// Top of a pCPU's stack.
pub fn stack_top(pcpu: usize) -> u64 {
    (&raw const STACKS) as u64 + (pcpu as u64 + 1) * STACK_SIZE as u64
}
