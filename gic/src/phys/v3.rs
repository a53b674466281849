//! GICv3 and GICv4 (Arm IHI 0069H): distributor and redistributors in memory, CPU interface in system registers.
//!
//! With a single security state (`GICD_CTLR.DS` = 1, as on QEMU `virt`) every interrupt starts in group 0; all are moved to group 1. With two,
//! EL2 is Non-secure, sees group 1 only, and the same writes mean the same.

mod common;
#[cfg(feature = "espi")]
mod extended;
#[cfg(feature = "probe")]
mod probe;
#[cfg(feature = "shared")]
mod shared;

use super::cpu_table::CpuTable;
use super::mmio::{Frame, array};
use super::wait::wait_until;
use super::{FOUR_PRIORITIES, sysreg};
use crate::{
    Acknowledged, Announce, CommonRegister, GicError, InterruptController, ListRegister,
    ListRegisters, MAX_LIST_REGISTERS,
};
use model::device::Trigger;
use model::memory::PhysicalRange;
use model::{IntId, Mpidr};

/// Distributor registers (12.9).
mod gicd {
    pub(super) const CTLR: usize = 0x0000;
    pub(super) const TYPER: usize = 0x0004;
    pub(super) const IROUTER: usize = 0x6000;
    /// Bytes of the frame, and of one of a redistributor.
    pub(super) const SIZE: usize = 0x1_0000;

    /// `CTLR`: group 1 is forwarded. Bit 1 both in the single-state and in the Non-secure view.
    pub(super) const ENABLE_GROUP1: u32 = 1 << 1;
    /// `CTLR`: affinity routing. Bit 4 in both views.
    pub(super) const AFFINITY_ROUTING: u32 = 1 << 4;
    /// `CTLR`: a register write is still pending.
    pub(super) const RWP: u32 = 1 << 31;
    /// `TYPER`: extended SPIs, and the lowest bit of how many sets of 32 there are, less one (12.9.38).
    pub(super) const EXTENDED: u32 = 1 << 8;
    pub(super) const EXTENDED_SETS: u32 = 27;
    /// `TYPER`: SGIs reach an Aff0 above 15.
    pub(super) const RANGE_SELECTOR: u32 = 1 << 26;
    /// `ICENABLER<n>E`: the extended SPIs.
    pub(super) const ICENABLER_EXTENDED: usize = 0x1400;
}

/// Redistributor registers (12.11): the control frame, then 64 KiB further the frame of the private interrupts.
pub(super) mod gicr {
    pub(in crate::phys) const CTLR: usize = 0x0000;
    pub(in crate::phys) const TYPER: usize = 0x0008;
    pub(in crate::phys) const WAKER: usize = 0x0014;
    #[cfg(feature = "its")]
    pub(in crate::phys) const PROPBASER: usize = 0x0070;
    #[cfg(feature = "its")]
    pub(in crate::phys) const PENDBASER: usize = 0x0078;
    /// Bytes of the two frames, of which the one with the private interrupts comes last.
    pub(in crate::phys) const SIZE: usize = 0x2_0000;

    /// `CTLR`: a register write is still pending.
    pub(in crate::phys) const RWP: u32 = 1 << 3;
    /// `WAKER`: the CPU wants to sleep.
    pub(in crate::phys) const PROCESSOR_SLEEP: u32 = 1 << 1;
    /// `WAKER`: the CPU interface is quiescent.
    pub(in crate::phys) const CHILDREN_ASLEEP: u32 = 1 << 2;
    /// `TYPER`: virtual LPIs, for which two more frames follow.
    pub(in crate::phys) const VLPIS: u64 = 1 << 1;
    /// `TYPER`: the last redistributor of its region.
    pub(in crate::phys) const LAST: u64 = 1 << 4;
}

/// `ICC_SRE_EL2` and `ICC_SRE_EL1`: SRE, DFB, DIB. Without `ICC_SRE_EL2.Enable` a guest cannot change its own, which the next guest on the CPU would find.
const SRE: u64 = 0x7;
/// `ICC_CTLR_EL1.RSS`: this CPU can send SGIs to an Aff0 above 15.
const RANGE_SELECTOR: u64 = 1 << 18;
/// `ICC_CTLR_EL1.EOImode`: EOIR drops the priority, DIR deactivates.
const EOI_MODE_SPLIT: u64 = 1 << 1;
/// `ICH_HCR_EL2.En`.
const HCR_ENABLE: u64 = 1 << 0;
/// `ICH_HCR_EL2`: what [`Announce`] names, by NPIE, LRENPIE and TDIR.
const HCR_NONE_PENDING: u64 = 1 << 3;
const HCR_UNMATCHED: u64 = 1 << 2;
const HCR_TRAP_DEACTIVATION: u64 = 1 << 14;
/// `ICH_HCR_EL2.TC`: traps `ICC_DIR_EL1` with the other registers that both groups share.
const HCR_TRAP_COMMON: u64 = 1 << 10;
/// `ICH_VTR_EL2.TDS`: TDIR exists (12.4.9).
const VTR_TRAPS_DEACTIVATION: u64 = 1 << 19;
/// `ICH_VMCR_EL2.VEOIM`: `EOImode` of the guest.
const VMCR_SPLIT: u64 = 1 << 9;
/// `ICH_HCR_EL2.TC`, `TALL0`, `TALL1`: a guest's accesses to the registers of all groups, of group 0, of group 1 trap.
#[cfg(feature = "legacy")]
const HCR_TRAPS: u64 = HCR_TRAP_COMMON | 1 << 11 | 1 << 12;

/// What every CPU's redistributor address is remembered in.
static REDISTRIBUTORS: CpuTable = CpuTable::new();

/// A GICv3.
#[derive(Clone, Copy)]
pub struct GicV3 {
    distributor: Frame<{ gicd::SIZE }>,
    regions: &'static [PhysicalRange],
    stride: Option<u64>,
    known: &'static CpuTable,
}

impl GicV3 {
    /// A handle to the controller with its distributor at `distributor` and its redistributors in `regions`: `stride` bytes from one to the next,
    /// or as many as the frames of each take.
    ///
    /// # Safety
    /// There really is a GICv3 with these frames. The distributor's 64 KiB and the regions, each of a multiple of 64 KiB, are mapped at
    /// virtual addresses equal to the physical ones, as Device memory, for as long as any copy of the handle is used; and nobody but
    /// copies of this handle drives them. `stride` is a multiple of 64 KiB.
    pub const unsafe fn new(
        distributor: usize,
        regions: &'static [PhysicalRange],
        stride: Option<u64>,
    ) -> Self {
        // SAFETY: the caller vouches for the frames.
        unsafe { Self::with_table(distributor, regions, stride, &REDISTRIBUTORS) }
    }

    /// [`new`](Self::new) with its own memory of where each CPU's redistributor is.
    ///
    /// # Safety
    /// As for [`new`](Self::new).
    pub(super) const unsafe fn with_table(
        distributor: usize,
        regions: &'static [PhysicalRange],
        stride: Option<u64>,
        known: &'static CpuTable,
    ) -> Self {
        // SAFETY: the caller vouches for the frame (`new`).
        let distributor = unsafe { Frame::new(distributor) };
        Self {
            distributor,
            regions,
            stride,
            known,
        }
    }

    /// Affinity of the calling CPU.
    pub(super) fn this_cpu() -> Mpidr {
        Mpidr::from_register(sysreg::mpidr::read())
    }

    /// Searches the regions for the redistributor whose `GICR_TYPER` has the affinity of `cpu`.
    fn find_redistributor(&self, cpu: Mpidr) -> Option<Frame<{ gicr::SIZE }>> {
        // TYPER[63:32] is Aff3, Aff2, Aff1, Aff0 without a gap.
        let affinity = (cpu.get() >> 8 & 0xff00_0000) | cpu.get() & 0xff_ffff;
        self.regions.iter().find_map(|region| {
            frames(region, self.stride).find(|frame| frame.read64(gicr::TYPER) >> 32 == affinity)
        })
    }

    /// The redistributor of the calling CPU, which has run `init_cpu`.
    pub(super) fn redistributor(&self) -> Option<Frame<{ gicr::SIZE }>> {
        self.redistributor_of(Self::this_cpu())
    }

    /// The redistributor of a CPU that has run `init_cpu`.
    pub(super) fn redistributor_of(&self, cpu: Mpidr) -> Option<Frame<{ gicr::SIZE }>> {
        let base = self.known.get(cpu)?;
        // SAFETY: only `init_cpu` fills the table, with the addresses of frames that it found inside the regions.
        Some(unsafe { Frame::new(base) })
    }

    /// Where the interrupt is in an array of registers: the frame, the array there, and its number in it.
    fn find(&self, array: usize, intid: IntId) -> Option<(Frame<{ gicd::SIZE }>, usize, u32)> {
        #[cfg(feature = "espi")]
        if let Some(number) = intid.extended_spi() {
            return Some((self.distributor, extended::array(array)?, number));
        }
        if intid.is_spi() {
            return Some((self.distributor, array, intid.get()));
        }
        let own = self.redistributor().filter(|_| intid.is_private());
        Some((own?.end(), array, intid.get()))
    }

    fn write_bit(&self, array: usize, intid: IntId) {
        if let Some((frame, array, number)) = self.find(array, intid) {
            frame.write_bit(array, number);
        }
    }

    fn wait_distributor(&self) -> Result<(), GicError> {
        let written = wait_until(|| self.distributor.read(gicd::CTLR) & gicd::RWP == 0);
        written.then_some(()).ok_or(GicError::DistributorTimeout)
    }

    /// Number of list registers, from a value of `ICH_VTR_EL2`.
    const fn list_registers(vtr: u64) -> usize {
        (vtr & 0x1f) as usize + 1
    }
}

/// The redistributors of a region: one after the other until `GICR_TYPER.Last` or the region's end.
fn frames(
    region: &PhysicalRange,
    stride: Option<u64>,
) -> impl Iterator<Item = Frame<{ gicr::SIZE }>> + use<> {
    let end = region.base.get().saturating_add(region.size);
    let mut next = Some(region.base.get());
    core::iter::from_fn(move || {
        let base = next?;
        if end.checked_sub(base)? < gicr::SIZE as u64 {
            return None;
        }
        // SAFETY: inside a region, which `GicV3::new`'s caller vouches for, and aligned as its base is.
        let frame = unsafe { Frame::<{ gicr::SIZE }>::new(usize::try_from(base).ok()?) };
        let typer = frame.read64(gicr::TYPER);
        let frames = 1 + (typer & gicr::VLPIS) / gicr::VLPIS;
        let stride = stride.unwrap_or(frames * gicr::SIZE as u64);
        next = base.checked_add(stride).filter(|_| typer & gicr::LAST == 0);
        Some(frame)
    })
}

/// How many active-priorities registers there are for each group: 5 preemption bits need one, 6 two, 7 four (12.4.1); the others do not
/// exist.
const fn active_priorities(vtr: u64) -> usize {
    let preemption_bits = (vtr >> 26 & 7) + 1;
    match preemption_bits {
        0..=5 => 1,
        6 => 2,
        _ => 4,
    }
}

impl InterruptController for GicV3 {
    fn init_distributor(&self) -> Result<(), GicError> {
        let gicd = &self.distributor;
        // Affinity routing may only be turned on while the groups are off, and not off again (12.9.4).
        let routing = gicd.read(gicd::CTLR) & gicd::AFFINITY_ROUTING;
        gicd.write(gicd::CTLR, routing);
        self.wait_distributor()?;
        gicd.write(gicd::CTLR, gicd::AFFINITY_ROUTING);
        self.wait_distributor()?;
        if gicd.read(gicd::CTLR) & gicd::AFFINITY_ROUTING == 0 {
            return Err(GicError::AffinityRoutingMissing);
        }

        let kind = gicd.read(gicd::TYPER);
        let interrupts = ((kind & 0x1f) + 1) * 32;
        // Whatever the firmware has left on is off, whether partitions have extended SPIs or not.
        let extended = if kind & gicd::EXTENDED != 0 {
            (kind >> gicd::EXTENDED_SETS) as usize + 1
        } else {
            0
        };
        for set in 0..extended {
            gicd.write(gicd::ICENABLER_EXTENDED + set * 4, u32::MAX);
        }
        for word in (32..interrupts).step_by(32).map(|first| first as usize / 8) {
            gicd.write(array::ICENABLER + word, u32::MAX);
        }
        self.wait_distributor()?;
        #[cfg(feature = "espi")]
        extended::init(gicd, extended, Self::this_cpu());
        for word in (32..interrupts).step_by(32).map(|first| first as usize / 8) {
            gicd.forget(word, u32::MAX);
        }
        for intid in (32..interrupts.min(IntId::END_SPI)).step_by(4) {
            gicd.write(array::IPRIORITYR + intid as usize, FOUR_PRIORITIES);
        }
        for intid in 32..interrupts.min(IntId::END_SPI) {
            gicd.write64(gicd::IROUTER + intid as usize * 8, Self::this_cpu().get());
        }
        gicd.write(gicd::CTLR, gicd::AFFINITY_ROUTING | gicd::ENABLE_GROUP1);
        self.wait_distributor()
    }

    fn init_cpu(&self) -> Result<(), GicError> {
        let cpu = Self::this_cpu();
        sysreg::icc_sre::write(SRE);
        sysreg::synchronize();
        if sysreg::icc_sre::read() & 1 == 0 {
            return Err(GicError::SystemRegistersMissing(cpu));
        }
        sysreg::icc_sre_el1::write(SRE);
        let ranges = self.distributor.read(gicd::TYPER) & gicd::RANGE_SELECTOR != 0
            && sysreg::icc_ctlr::read() & RANGE_SELECTOR != 0;
        if cpu.affinity(0) > 15 && !ranges {
            return Err(GicError::RangeSelectorMissing(cpu));
        }
        #[cfg(feature = "espi")]
        extended::check_cpu(&self.distributor, cpu)?;

        let gicr = self
            .find_redistributor(cpu)
            .ok_or(GicError::RedistributorMissing(cpu))?;
        if !self.known.insert(cpu, gicr.base()) {
            return Err(GicError::TooManyCpus);
        }
        gicr.write(gicr::WAKER, gicr.read(gicr::WAKER) & !gicr::PROCESSOR_SLEEP);
        if !wait_until(|| gicr.read(gicr::WAKER) & gicr::CHILDREN_ASLEEP == 0) {
            return Err(GicError::RedistributorAsleep(cpu));
        }

        let private: Frame<{ gicd::SIZE }> = gicr.end();
        private.write(array::ICENABLER, u32::MAX);
        if !wait_until(|| gicr.read(gicr::CTLR) & gicr::RWP == 0) {
            return Err(GicError::RedistributorTimeout(cpu));
        }
        private.init_private(u32::MAX);

        sysreg::icc_ctlr::write(EOI_MODE_SPLIT);
        sysreg::icc_pmr::write(0xff);
        sysreg::icc_bpr1::write(0);
        // A firmware that left an interrupt unfinished would keep all of ours masked.
        sysreg::icc_ap1r0::write(0);
        sysreg::icc_igrpen1::write(1);
        self.reset_virtual_interface();
        Ok(())
    }

    #[inline]
    fn acknowledge(&self) -> Option<Acknowledged> {
        self.acknowledged(sysreg::icc_iar1::read() as u32)
    }

    #[inline]
    fn acknowledged(&self, raw: u32) -> Option<Acknowledged> {
        let raw = raw & 0xff_ffff;
        // What the interrupt announces must be visible after it (12.2.14, note on ordering).
        sysreg::complete_memory();
        (!(1020..=1023).contains(&raw)).then_some(Acknowledged {
            intid: IntId::new(raw),
            raw,
        })
    }

    #[inline]
    fn drop_priority(&self, interrupt: Acknowledged) {
        sysreg::icc_eoir1::write(u64::from(interrupt.raw));
        sysreg::synchronize();
    }

    #[inline]
    fn deactivate(&self, interrupt: Acknowledged) {
        sysreg::icc_dir::write(u64::from(interrupt.raw));
        sysreg::synchronize();
    }

    fn deactivate_physical(&self, intid: IntId) {
        self.write_bit(array::ICACTIVER, intid);
    }

    fn enable(&self, intid: IntId) {
        self.write_bit(array::ISENABLER, intid);
    }

    fn disable(&self, intid: IntId) {
        self.write_bit(array::ICENABLER, intid);
    }

    fn set_trigger(&self, intid: IntId, trigger: Trigger) {
        let place = self.find(array::ICFGR, intid);
        if let Some((frame, array, number)) = place.filter(|_| !intid.is_sgi()) {
            frame.write_trigger(array, number, trigger == Trigger::Edge);
        }
    }

    fn is_available(&self, intid: IntId) -> bool {
        self.find(array::IPRIORITYR, intid)
            .is_some_and(|(frame, array, number)| frame.has_priority(array, number))
    }

    fn route(&self, intid: IntId, cpu: Mpidr) {
        let place = self.find(gicd::IROUTER, intid);
        if let Some((frame, array, number)) = place.filter(|_| !intid.is_private()) {
            // IRM = 0: exactly this CPU, never "any" (12.9.22).
            frame.write64(array + number as usize * 8, cpu.get());
        }
    }

    fn is_pending(&self, intid: IntId) -> bool {
        self.find(array::ISPENDR, intid)
            .is_some_and(|(frame, array, number)| frame.read_bit(array, number))
    }

    fn clear_pending(&self, intid: IntId) {
        self.write_bit(array::ICPENDR, intid);
    }

    fn set_pending(&self, intid: IntId) {
        self.write_bit(array::ISPENDR, intid);
    }

    #[inline(always)]
    fn kick(&self, cpu: Mpidr, sgi: IntId) {
        let aff = |level| u64::from(cpu.affinity(level));
        let target =
            aff(3) << 48 | aff(2) << 32 | aff(1) << 16 | aff(0) >> 4 << 44 | 1 << (aff(0) & 0xf);
        sysreg::complete_memory();
        sysreg::icc_sgi1r::write(target | u64::from(sgi.get() & 0xf) << 24);
        sysreg::synchronize();
    }

    fn common_register(&self, register: CommonRegister, written: Option<u64>) -> u64 {
        common::access(register, written)
    }

    fn reset_virtual_interface(&self) {
        let vtr = sysreg::ich_vtr::read();
        sysreg::ich_hcr::write(0);
        for index in 0..Self::list_registers(vtr).min(MAX_LIST_REGISTERS) {
            sysreg::ich_lr::write(index, 0);
        }
        for index in 0..active_priorities(vtr) {
            sysreg::ich_ap0r::write(index, 0);
            sysreg::ich_ap1r::write(index, 0);
        }
        sysreg::ich_vmcr::write(0);
        sysreg::ich_hcr::write(HCR_ENABLE);
        sysreg::synchronize();
    }

    #[cfg(feature = "legacy")]
    fn withhold_virtual_interface(&self) {
        sysreg::ich_hcr::write(HCR_TRAPS);
        sysreg::synchronize();
    }
}

impl ListRegisters for GicV3 {
    #[inline]
    fn count(&self) -> usize {
        Self::list_registers(sysreg::ich_vtr::read()).min(MAX_LIST_REGISTERS)
    }

    #[inline]
    fn empty(&self) -> u64 {
        // A list register written just now shows here only after a context synchronization.
        sysreg::synchronize();
        sysreg::ich_elrsr::read() & 0xffff
    }

    #[inline]
    fn read(&self, index: usize) -> ListRegister {
        ListRegister::from_v3(sysreg::ich_lr::read(index))
    }

    #[inline]
    fn write(&self, index: usize, register: ListRegister) {
        sysreg::ich_lr::write(index, register.to_v3());
    }

    #[inline]
    fn image(&self, _index: usize, register: ListRegister) -> Option<u64> {
        Some(register.to_v3())
    }

    #[inline(always)]
    fn write_image(&self, index: usize, image: u64) {
        sysreg::ich_lr::write(index, image);
    }

    fn announce(&self, what: Announce) {
        let trap = if sysreg::ich_vtr::read() & VTR_TRAPS_DEACTIVATION != 0 {
            HCR_TRAP_DEACTIVATION
        } else {
            HCR_TRAP_COMMON
        };
        let bit = |on: bool, bit: u64| if on { bit } else { 0 };
        sysreg::ich_hcr::write(
            HCR_ENABLE
                | bit(what.refill, HCR_NONE_PENDING)
                | bit(what.unmatched, HCR_UNMATCHED)
                | bit(what.deactivations, trap),
        );
    }

    fn running_priority(&self) -> u8 {
        common::running_priority()
    }

    #[inline]
    fn splits_ends(&self) -> bool {
        sysreg::ich_vmcr::read() & VMCR_SPLIT != 0
    }
}
