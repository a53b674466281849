//! What the core needs from the machine below it: two small traits, implemented by the architecture and by a platform, and by fakes in tests.

use gic::InterruptController;
use model::partition::Vcpu as VcpuConfig;
use model::system::EndState;
use model::{IntId, Ipa, Pa};

use crate::arch::aarch64::context::Context;
use crate::arch::aarch64::inject::{Entry, GuestState};
use crate::arch::aarch64::sysreg::Identification;
use crate::console::port::Console;
use crate::event::Event;
use crate::partition::Partition;
use crate::pool::{SharedCpu, SharedGic, SharedMachine};

/// The CPU that runs this code. Nothing here names another CPU, so there is no value: only functions.
pub trait Cpu: SharedCpu + 'static {
    /// The system counter, in ticks.
    fn now() -> u64;

    /// Waits until an interrupt is pending for this CPU. Interrupts are masked: it is not taken. May return early.
    fn wait_for_interrupt();

    /// Has the hypervisor's own timer interrupt this CPU at `at`, in ticks of the system counter; at once when that is past. Replaces an
    /// alarm that was set before.
    fn set_alarm(at: u64);

    /// Turns the alarm off: its interrupt goes away.
    fn clear_alarm();

    /// Puts the guest's system registers into their state after reset, with the identity of `vcpu`, the stage-2 translation
    /// `translation` and a virtual counter that starts at `counter_offset`.
    fn reset_guest(vcpu: &VcpuConfig, translation: u64, counter_offset: u64);

    /// Keeps the guest's timers from firing: its virtual CPU is off.
    fn stop_guest_timers();

    /// What the guest was doing, for an exception that it is to take.
    fn guest_state(context: &Context) -> GuestState;

    /// Lets the guest take an exception; `far` is the address that it is about, if it has one.
    fn take_exception(context: &mut Context, entry: Entry, far: Option<u64>);

    /// Makes a virtual IRQ and FIQ pending for the guest, or not.
    #[cfg(feature = "legacy")]
    fn signal(lines: gic::virt::Lines);

    /// Makes an SError pending for the guest.
    fn raise_system_error();

    /// The CPU's own value of an identification register.
    fn identification(register: Identification) -> u64;

    /// `FAR_EL2`, `HPFAR_EL2` and `ESR_EL2` of the exit that is being handled.
    fn syndrome() -> crate::arch::aarch64::decode::Syndrome;

    /// The guest's stack pointers, `SP_EL0` and `SP_EL1`.
    #[cfg(feature = "monitor")]
    fn stacks() -> [u64; 2];

    /// The guest's registers of [`SYSTEM`](crate::inspect::SYSTEM), while they are loaded.
    #[cfg(feature = "registers")]
    fn guest_registers() -> [u64; crate::inspect::SYSTEM.len()];

    /// Ticks of the system counter in a second.
    #[cfg(feature = "registers")]
    fn second() -> u64;

    /// `ESR_EL2` alone.
    fn exception_syndrome() -> u64;

    /// `HPFAR_EL2` and `FAR_EL2`: where a data abort happened.
    fn fault_address() -> Ipa;

    /// Has the guest go on behind the trapped 32-bit instruction, while `ELR_EL2` still says where that is.
    fn step_over();

    /// Passes a call on to the firmware: x0 to x17 go in and come out.
    #[cfg(feature = "firmware-calls")]
    fn firmware_call(registers: &mut [u64; 31]);
}

/// What stands between devices and memory. A machine without IOMMUs has the methods as they are here.
pub trait Dma {
    /// The partition's image is in place: its devices reach its memory from here on.
    fn admit(&self, _partition: &Partition) {}

    /// The partition's devices reach nothing from here on.
    fn deny(&self, _partition: &Partition) {}

    /// Serves an interrupt that is the hypervisor's own. False when it is not an IOMMU's.
    fn serve(&self, _intid: IntId) -> bool {
        false
    }
}

/// The machine: its interrupt controller, its memory as far as the hypervisor may touch it, its console.
pub trait Machine: Dma + SharedMachine + Sync + 'static {
    /// The CPUs.
    type Cpu: Cpu;
    /// The interrupt controller.
    type Gic: InterruptController + SharedGic;

    /// The interrupt controller.
    fn gic(&self) -> Self::Gic;

    /// Copies `size` bytes of the payload, or of a file (`model::file`), from `offset` to `to`, which belongs to a partition that does not run.
    fn load(&self, offset: u64, to: Pa, size: u64);

    /// The doubleword at `from`, a multiple of 8 in a partition's RAM, as the guest sees it with caches on or off.
    #[cfg(feature = "its")]
    fn read(&self, from: Pa) -> u64;

    /// The checksum `sum` with `size` bytes of the payload from `offset`.
    #[cfg(feature = "pristine")]
    fn checksum(&self, sum: u64, offset: u64, size: u64) -> u64;

    /// Adds `size` bytes of a partition's file from `from` to a hash.
    #[cfg(feature = "files")]
    fn hash(&self, sum: &mut crate::files::Sha256, from: Pa, size: u64);

    /// Fills `size` bytes from `to` with zeros.
    fn zero(&self, to: Pa, size: u64);

    /// What was loaded into the partition whose translation is in place on this CPU becomes visible to all its CPUs, with caches on and off.
    fn publish_code(&self);

    /// PCI functions that partitions own one by one.
    #[cfg(feature = "pci")]
    fn pci(&self) -> &'static [crate::pci::Function] {
        &[]
    }

    /// The console.
    fn console(&self) -> &dyn Console;

    /// Takes down what happened.
    fn record(&self, event: Event);

    /// The rings of the trace, one for each pCPU, in the order of the system.
    #[cfg(feature = "trace")]
    fn rings(&self) -> &'static [crate::trace::Ring];

    /// The place of the calling pCPU among them.
    #[cfg(feature = "trace")]
    fn pcpu(&self) -> usize;

    /// Ticks of the system counter in a second.
    #[cfg(feature = "trace")]
    fn frequency(&self) -> u64;

    /// Another CPU has called this one by an SGI. Does not return when it was to say that the machine has ended.
    fn was_called(&self, _sgi: IntId) {}

    /// Nothing is left to run, or shall.
    fn end(&self, state: EndState) -> !;
}
