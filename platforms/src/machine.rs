//! The machine under the core: this board.

use core::fmt::Write;

use gic::InterruptController;
use hv::arch::aarch64::{cache, copy, el2::El2, firmware};
use hv::event::Event;
use hv::machine::{Cpu, Machine};
use hv::terminal::Console;
#[cfg(feature = "pristine")]
use model::checksum;
use model::system::EndState;
use model::{IntId, Pa};

use crate::interrupts::Gic;
use crate::log::Log;
use crate::{SYSTEM, early, map, storage};

/// The SGI that tells a CPU that the machine has ended.
const END: IntId = IntId::new(15);

/// The board that the image runs on.
pub struct Board {
    /// Its interrupt controller.
    pub gic: Gic,
}

#[cfg(not(feature = "iommu"))]
impl hv::machine::Dma for Board {}

impl Machine for Board {
    type Cpu = El2;
    type Gic = Gic;

    #[inline]
    fn gic(&self) -> Gic {
        self.gic
    }

    fn load(&self, offset: u64, to: Pa, size: u64) {
        // SAFETY: the compiler placed every segment inside the payload or a file and inside a RAM mapping of its partition; `map` maps both, the
        // first only for reading, and they do not overlap. Nothing of the partition runs while it is loaded.
        unsafe { copy::copy(map::source(offset), to.get(), size) };
        cache::clean(to.get(), size);
    }

    #[cfg(feature = "pristine")]
    fn checksum(&self, sum: u64, offset: u64, size: u64) -> u64 {
        // SAFETY: the compiler placed every segment inside the payload or a file.
        let bytes = unsafe { constants(map::source(offset), size) };
        // Aligned words are a load each; of bytes the compiler loads each, since the target has no unaligned accesses.
        // SAFETY: any bits are a number.
        match unsafe { bytes.align_to::<u64>() } {
            ([], words, rest) => {
                let words = words.iter().map(|word| u64::from_le(*word));
                checksum::bytes(words.fold(sum, checksum::word), rest)
            }
            _ => checksum::bytes(sum, bytes),
        }
    }

    #[cfg(feature = "files")]
    fn hash(&self, sum: &mut hv::files::Sha256, from: Pa, size: u64) {
        // SAFETY: the caller's range is in a partition's file.
        sum.add(unsafe { constants(from.get(), size) });
    }

    #[cfg(feature = "its")]
    fn read(&self, from: Pa) -> u64 {
        // A guest with its caches off has written past ours, one with caches on perhaps not yet to memory.
        cache::clean(from.get(), 8);
        // SAFETY: the caller's address is in a partition's RAM, which `map` maps, and a multiple of 8; any bits are a number. The guest may
        // write at the same time: the load is volatile and single.
        unsafe { (from.get() as *const u64).read_volatile() }
    }

    fn zero(&self, to: Pa, size: u64) {
        // SAFETY: as in `load`; or the range is a channel's, which `map` maps and which is zeroed before any partition runs.
        unsafe { copy::zero(to.get(), size) };
        cache::clean(to.get(), size);
    }

    fn publish_code(&self) {
        cache::forget_translations();
        cache::forget_instructions();
    }

    #[cfg(feature = "pci")]
    fn pci(&self) -> &'static [hv::pci::Function] {
        crate::pci::functions()
    }

    fn console(&self) -> &dyn Console {
        match storage::TERMINAL.get() {
            Some(terminal) => terminal,
            // Not reached: the console is set before the first virtual CPU exists.
            None => early::stop(format_args!("no console")),
        }
    }

    fn record(&self, event: Event) {
        #[cfg(feature = "trace")]
        hv::trace::note(self, &event);
        hv_log::event::<Log>(event);
    }

    #[cfg(feature = "trace")]
    fn rings(&self) -> &'static [hv::trace::Ring] {
        &crate::trace::bulkhead_rings
    }

    #[cfg(feature = "trace")]
    #[inline]
    fn pcpu(&self) -> usize {
        crate::trace::pcpu()
    }

    #[cfg(feature = "trace")]
    fn frequency(&self) -> u64 {
        El2::frequency()
    }

    fn was_called(&self, sgi: IntId) {
        if sgi == END {
            firmware::halt();
        }
    }

    fn end(&self, state: EndState) -> ! {
        drain();
        let text = match state {
            EndState::PowerOff => "power off",
            EndState::Reset => "reset",
            EndState::Halt => "halted",
        };
        if !cfg!(feature = "silent") {
            early::line(format_args!("end of the system: {text}"));
        }
        reach(state)
    }
}

/// What is loaded into partitions, at its virtual address.
///
/// # Safety
/// All of it is inside the payload, or inside a file of a partition: `map` maps both for reading alone, and nobody is given them.
#[cfg(any(feature = "pristine", feature = "files"))]
unsafe fn constants(from: u64, size: u64) -> &'static [u8] {
    // SAFETY: the caller's.
    unsafe { core::slice::from_raw_parts(from as *const u8, size as usize) }
}

/// Brings the machine into its end state.
pub fn reach(state: EndState) -> ! {
    // Before the controller is set up, no other CPU is on.
    if storage::HYPERVISOR.get().is_some() {
        let others = SYSTEM.pcpus.iter().map(|pcpu| pcpu.mpidr);
        others
            .filter(|&pcpu| pcpu != El2::affinity())
            .for_each(|pcpu| Gic.kick(pcpu, END));
    }
    match state {
        EndState::PowerOff => firmware::system_off(),
        EndState::Reset => firmware::system_reset(),
        EndState::Halt => firmware::halt(),
    }
}

/// Moves what is left to say to the UART, for at most a second or so.
fn drain() {
    let Some(console) = storage::TERMINAL.get() else {
        return;
    };
    let deadline = El2::now().wrapping_add(El2::frequency());
    loop {
        console.pump(El2::now());
        let empty = storage::RINGS.iter().all(hv::console::Ring::is_empty);
        if empty || El2::now() > deadline {
            break;
        }
        core::hint::spin_loop();
    }
    if !cfg!(feature = "silent") {
        // An unfinished line is somebody else's.
        let _ = early::Early::new().write_str("\n");
    }
}
