//! What the hypervisor asks of a physical interrupt controller.

use crate::ListRegisters;
use model::device::Trigger;
use model::{IntId, Mpidr};

/// The most CPUs that a driver serves.
pub const MAX_CPUS: usize = 64;

/// An interrupt that this CPU has acknowledged: it is active, and its priority masks others until it is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Acknowledged {
    /// Which interrupt.
    pub intid: IntId,
    /// The acknowledge register as read. GICv2 keeps the source CPU of an SGI in it and wants it back at the end (IHI 0048B 4.4.5).
    pub raw: u32,
}

/// A register of the virtual CPU interface that serves both groups (IHI 0069H 12.4.3, `ICH_HCR_EL2.TC`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommonRegister {
    /// `ICC_CTLR_EL1`.
    Control,
    /// `ICC_PMR_EL1`.
    PriorityMask,
    /// `ICC_RPR_EL1`, read-only.
    RunningPriority,
}

/// Why the interrupt controller cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GicError {
    /// `GICD_CTLR.RWP` stayed set.
    #[error("the GIC distributor does not take register writes (GICD_CTLR.RWP stays 1)")]
    DistributorTimeout,
    /// `GICR_CTLR.RWP` stayed set.
    #[error("the GIC redistributor of {0:?} does not take register writes (GICR_CTLR.RWP stays 1)")]
    RedistributorTimeout(Mpidr),
    /// `GICR_WAKER.ChildrenAsleep` stayed set.
    #[error("the GIC redistributor of {0:?} does not wake (GICR_WAKER.ChildrenAsleep stays 1)")]
    RedistributorAsleep(Mpidr),
    /// No redistributor frame has this CPU's affinity.
    #[error("no GIC redistributor belongs to {0:?}")]
    RedistributorMissing(Mpidr),
    /// `GICD_CTLR.ARE_NS` cannot be set.
    #[error("the GIC distributor has no affinity routing (GICD_CTLR.ARE stays 0)")]
    AffinityRoutingMissing,
    /// `ICC_SRE_EL2.SRE` cannot be set.
    #[error(
        "the GIC CPU interface of {0:?} has no system registers at EL2 (ICC_SRE_EL2.SRE stays 0)"
    )]
    SystemRegistersMissing(Mpidr),
    /// `GITS_CTLR.Quiescent` stayed clear.
    #[cfg(feature = "its")]
    #[error("the ITS does not come to rest (GITS_CTLR.Quiescent stays 0)")]
    ItsBusy,
    /// `GITS_TYPER` tells of an ITS that this driver has no tables for.
    #[cfg(feature = "its")]
    #[error("the ITS needs other tables than this image has (GITS_TYPER is {0:#x})")]
    ItsUnfit(u64),
    /// A `GITS_BASER` did not keep what was written.
    #[cfg(feature = "its")]
    #[error("the ITS does not take a table of 64 KiB (its GITS_BASER is {0:#x})")]
    ItsTable(u64),
    /// `GICR_TYPER.PLPIS` is clear.
    #[cfg(feature = "its")]
    #[error("the GIC redistributor of {0:?} has no LPIs (GICR_TYPER.PLPIS is 0)")]
    LpisMissing(Mpidr),
    /// `GICR_CTLR.EnableLPIs` stayed set.
    #[cfg(feature = "its")]
    #[error("firmware left LPIs enabled at {0:?}, and they stay so (GICR_CTLR.EnableLPIs stays 1)")]
    LpisOn(Mpidr),
    /// SGIs cannot name a CPU whose Aff0 is above 15.
    #[error(
        "{0:?} cannot be sent interrupts: its Aff0 is above 15, and the GIC has no range selector (ICC_CTLR_EL1.RSS or GICD_TYPER.RSS is 0)"
    )]
    RangeSelectorMissing(Mpidr),
    /// The system has extended SPIs, and this CPU's interface does not take their numbers.
    #[cfg(feature = "espi")]
    #[error(
        "{0:?} cannot be sent extended SPIs, which the system has (ICC_CTLR_EL1.ExtRange is 0)"
    )]
    ExtendedRangeMissing(Mpidr),
    /// The table of CPUs is full.
    #[error("more than {} CPUs use the GIC", MAX_CPUS)]
    TooManyCpus,
}

/// A physical interrupt controller with the hardware part of its virtual CPU interface.
///
/// Implementations are small copyable handles. Methods that name no CPU act on the calling CPU for private interrupts (SGIs and
/// PPIs) and on the whole machine for SPIs. Interrupt numbers that the hardware does not have are ignored.
pub trait InterruptController: ListRegisters + Copy {
    /// Brings the distributor up; once, on the boot CPU. Afterwards all SPIs are disabled, in the group that EL2 receives as IRQ, at one
    /// priority, neither pending nor active. Every wait is bounded.
    ///
    /// # Errors
    /// The distributor does not answer or lacks what this driver needs.
    fn init_distributor(&self) -> Result<(), GicError>;

    /// Brings up the calling CPU's part; on each CPU, after [`init_distributor`](Self::init_distributor). Afterwards priority drop
    /// and deactivation are separate, SGIs are enabled, PPIs are disabled, and the virtual interface is reset and on.
    ///
    /// # Errors
    /// This CPU's redistributor or CPU interface is missing or does not answer.
    fn init_cpu(&self) -> Result<(), GicError>;

    /// Acknowledges the most urgent pending interrupt; `None` when there is none any more (special INTIDs 1020 to 1023).
    fn acknowledge(&self) -> Option<Acknowledged>;

    /// What `raw`, read from the acknowledge register by the exit vectors, says: as [`acknowledge`](Self::acknowledge).
    fn acknowledged(&self, raw: u32) -> Option<Acknowledged>;

    /// Lets other interrupts in again; the interrupt stays active.
    fn drop_priority(&self, interrupt: Acknowledged);

    /// Ends an interrupt that is not handed to a guest. Comes after [`drop_priority`](Self::drop_priority).
    fn deactivate(&self, interrupt: Acknowledged);

    /// Takes the active state from an interrupt whoever acknowledged it, as when its partition is reset.
    fn deactivate_physical(&self, intid: IntId);

    /// Lets an interrupt be signalled.
    fn enable(&self, intid: IntId);

    /// Keeps an interrupt from being signalled; what is pending stays so.
    fn disable(&self, intid: IntId);

    /// Tells how the line signals. The interrupt must be disabled (IHI 0069H 12.9.9). Without effect on SGIs. The register is read and written back, and
    /// has 16 interrupts: one CPU at a time.
    fn set_trigger(&self, intid: IntId, trigger: Trigger);

    /// True for an interrupt that the hardware has and that Secure firmware leaves to the rest of the system: the priority that bring-up gave it
    /// reads back. That of another interrupt reads as zero (IHI 0048B 4.3.11, IHI 0069H 12.9.20).
    fn is_available(&self, intid: IntId) -> bool;

    /// Sends an SPI to one CPU, which has run [`init_cpu`](Self::init_cpu).
    fn route(&self, intid: IntId, cpu: Mpidr);

    /// True while an edge is pending or a level line asserted, of an interrupt that may be active or disabled.
    fn is_pending(&self, intid: IntId) -> bool;

    /// Forgets a pending edge. A level line that is still asserted stays pending.
    fn clear_pending(&self, intid: IntId);

    /// Makes an interrupt pending, as an edge of its line would.
    fn set_pending(&self, intid: IntId);

    /// Sends the hypervisor's SGI `sgi` to `cpu`. Memory written before is visible to it.
    fn kick(&self, cpu: Mpidr, sgi: IntId);

    /// Empties the calling CPU's virtual interface: what a virtual CPU finds when it starts.
    fn reset_virtual_interface(&self);

    /// Empties the calling CPU's virtual interface, and keeps a guest from using it: its accesses to the system registers trap. For a virtual CPU
    /// whose interface is a [`CpuInterface`](crate::virt::CpuInterface), after [`reset_virtual_interface`](Self::reset_virtual_interface). A GICv2's is
    /// in memory: it is not mapped.
    #[cfg(feature = "legacy")]
    fn withhold_virtual_interface(&self);

    /// The calling CPU's virtual interface answers a trapped access of its guest: a read, or the write of a value. Only where hardware traps
    /// these registers together with deactivations; elsewhere they read as zero.
    fn common_register(&self, _register: CommonRegister, _written: Option<u64>) -> u64 {
        0
    }

    /// Addresses of `GICC` and `GICH`, for the exit vectors; `None` where both are system registers.
    fn frames(&self) -> Option<[usize; 2]> {
        None
    }

    /// True for a controller that does not look at a level-sensitive line again when a guest's end of interrupt deactivates the physical
    /// interrupt: QEMU's model of the GICv2. A timer that fires again before its handler ends would be lost, and its guest sleep for
    /// ever, so a guest's WFI must be trapped there, and [`look_again`](Self::look_again) called before the CPU waits.
    #[cfg(feature = "v2")]
    fn overlooks_levels(&self) -> bool {
        false
    }

    /// Makes such a controller look at all lines again.
    fn look_again(&self) {}

    /// Has the ITS do what a virtual one asks for; `cpu` runs the virtual CPU that the change names, if it names one. False when it cannot.
    #[cfg(feature = "its")]
    fn translate(&self, change: crate::virt::its::Change, cpu: Mpidr) -> bool {
        let _ = (change, cpu);
        false
    }
}
