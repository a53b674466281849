//! GICv2 with the virtualization extensions (Arm IHI 0048B), as the GIC-400: everything is memory-mapped.
//!
//! Interrupts stay in group 0 where the controller has no security extensions, and are in group 1, seen through the Non-secure view, where
//! it has. Bit 0 (enable) and bit 9 (split end) of `GICC_CTLR` stand at the same place in both (4.4.1), and so does `GICD_CTLR` bit 0.

#[cfg(feature = "probe")]
mod probe;
#[cfg(feature = "shared")]
mod shared;

use super::cpu_table::CpuTable;
use super::mmio::{Frame, array};
use super::{FOUR_PRIORITIES, sysreg};
use crate::{
    Acknowledged, Announce, GicError, InterruptController, ListRegister, ListRegisters,
    MAX_LIST_REGISTERS,
};
use model::device::Trigger;
use model::{IntId, Mpidr};

/// Distributor registers (4.3) beside the [arrays](array).
mod gicd {
    pub(super) const CTLR: usize = 0x000;
    pub(super) const TYPER: usize = 0x004;
    pub(super) const ITARGETSR: usize = 0x800;
    pub(super) const SGIR: usize = 0xf00;
    pub(super) const CPENDSGIR: usize = 0xf10;
    /// Bytes of the frame.
    pub(super) const SIZE: usize = 0x1000;
}

/// CPU interface registers (4.4).
mod gicc {
    pub(super) const CTLR: usize = 0x00;
    pub(super) const PMR: usize = 0x04;
    /// Lets every priority through.
    pub(super) const PMR_OPEN: u32 = 0xff;
    /// GICC_IIDR (IHI 0048B 4.4.15).
    pub(super) const IIDR: usize = 0xfc;
    /// QEMU's model: Arm as implementer, product 0. A GIC-400 has product 2.
    pub(super) const IIDR_QEMU: u32 = 0x0002_043b;
    pub(super) const BPR: usize = 0x08;
    pub(super) const IAR: usize = 0x0c;
    pub(super) const EOIR: usize = 0x10;
    pub(super) const APR0: usize = 0xd0;
    pub(super) const DIR: usize = 0x1000;
    /// Bytes of the frame.
    pub(super) const SIZE: usize = 0x2000;

    /// `CTLR`: signal interrupts.
    pub(super) const ENABLE: u32 = 1 << 0;
    /// `CTLR`: EOIR drops the priority, DIR deactivates.
    pub(super) const EOI_MODE_SPLIT: u32 = 1 << 9;
}

/// Virtual interface control registers (5.3).
mod gich {
    pub(super) const HCR: usize = 0x00;
    pub(super) const VTR: usize = 0x04;
    pub(super) const VMCR: usize = 0x08;
    pub(super) const ELRSR0: usize = 0x30;
    pub(super) const APR: usize = 0xf0;
    pub(super) const LR: usize = 0x100;
    /// Bytes of the frame.
    pub(super) const SIZE: usize = 0x1000;

    /// `HCR`: the virtual CPU interface is on.
    pub(super) const ENABLE: u32 = 1 << 0;
    /// `HCR`: maintenance interrupts for what `Announce` names, by NPIE and LRENPIE.
    pub(super) const NONE_PENDING: u32 = 1 << 3;
    pub(super) const UNMATCHED: u32 = 1 << 2;
    /// `VMCR`: `EOImode` of the guest.
    pub(super) const SPLIT: u32 = 1 << 9;
}

/// The CPU-interface mask of every CPU.
static MASKS: CpuTable = CpuTable::new();

/// A GICv2.
#[derive(Clone, Copy)]
pub struct GicV2 {
    distributor: Frame<{ gicd::SIZE }>,
    cpu: Frame<{ gicc::SIZE }>,
    control: Frame<{ gich::SIZE }>,
    masks: &'static CpuTable,
}

impl GicV2 {
    /// A handle to the controller with distributor, physical CPU interface (8 KiB) and virtual interface control at these addresses.
    ///
    /// # Safety
    /// There really is a GICv2 with these frames; they are mapped at these virtual addresses as Device memory for as long as any copy of
    /// the handle is used, and nobody but copies of this handle drives them.
    pub const unsafe fn new(distributor: usize, cpu: usize, control: usize) -> Self {
        // SAFETY: the caller vouches for the frames.
        unsafe { Self::with_table(distributor, cpu, control, &MASKS) }
    }

    /// [`new`](Self::new) with its own memory of each CPU's interface.
    ///
    /// # Safety
    /// As for [`new`](Self::new).
    pub(super) const unsafe fn with_table(
        distributor: usize,
        cpu: usize,
        control: usize,
        masks: &'static CpuTable,
    ) -> Self {
        // SAFETY: the caller vouches for the three frames.
        unsafe {
            Self {
                distributor: Frame::new(distributor),
                cpu: Frame::new(cpu),
                control: Frame::new(control),
                masks,
            }
        }
    }

    /// The bit of the calling CPU's interface. The first eight `ITARGETSR` are banked and read as the reader's own mask, or as zero where
    /// there is only one CPU (4.3.12).
    fn own_mask(&self) -> u8 {
        let targets = (0..32)
            .step_by(4)
            .map(|offset| self.distributor.read(gicd::ITARGETSR + offset))
            .fold(0, |all, word| all | word);
        match targets
            .to_le_bytes()
            .into_iter()
            .fold(0, |all, byte| all | byte)
        {
            0 => 1,
            mask => mask,
        }
    }

    fn is_present(intid: IntId) -> bool {
        intid.get() < IntId::END_SPI
    }

    fn write_bit(&self, array: usize, intid: IntId) {
        if Self::is_present(intid) {
            self.distributor.write_bit(array, intid.get());
        }
    }
}

impl InterruptController for GicV2 {
    fn init_distributor(&self) -> Result<(), GicError> {
        let gicd = &self.distributor;
        gicd.write(gicd::CTLR, 0);
        let interrupts = ((gicd.read(gicd::TYPER) & 0x1f) + 1) * 32;
        for word in (32..interrupts).step_by(32).map(|first| first as usize / 8) {
            gicd.write(array::ICENABLER + word, u32::MAX);
            gicd.forget(word, 0);
        }
        let own = u32::from_ne_bytes([self.own_mask(); 4]);
        for intid in (32..interrupts.min(IntId::END_SPI)).step_by(4) {
            gicd.write(array::IPRIORITYR + intid as usize, FOUR_PRIORITIES);
            gicd.write(gicd::ITARGETSR + intid as usize, own);
        }
        gicd.write(gicd::CTLR, 1);
        Ok(())
    }

    fn init_cpu(&self) -> Result<(), GicError> {
        if !self.masks.insert(
            Mpidr::from_register(sysreg::mpidr::read()),
            usize::from(self.own_mask()),
        ) {
            return Err(GicError::TooManyCpus);
        }
        let gicd = &self.distributor;
        gicd.write(array::ICENABLER, u32::MAX);
        for word in (0..16).step_by(4) {
            gicd.write(gicd::CPENDSGIR + word, u32::MAX);
        }
        gicd.init_private(0);

        // A firmware that left an interrupt unfinished would keep all of ours masked.
        self.cpu.write(gicc::APR0, 0);
        self.cpu.write(gicc::PMR, gicc::PMR_OPEN);
        self.cpu.write(gicc::BPR, 0);
        self.cpu
            .write(gicc::CTLR, gicc::ENABLE | gicc::EOI_MODE_SPLIT);
        self.reset_virtual_interface();
        Ok(())
    }

    #[inline]
    fn acknowledge(&self) -> Option<Acknowledged> {
        self.acknowledged(self.cpu.read(gicc::IAR))
    }

    #[inline]
    fn acknowledged(&self, raw: u32) -> Option<Acknowledged> {
        sysreg::complete_memory();
        let intid = IntId::new(raw & 0x3ff);
        Self::is_present(intid).then_some(Acknowledged { intid, raw })
    }

    #[inline]
    fn drop_priority(&self, interrupt: Acknowledged) {
        self.cpu.write(gicc::EOIR, interrupt.raw);
    }

    #[inline]
    fn deactivate(&self, interrupt: Acknowledged) {
        self.cpu.write(gicc::DIR, interrupt.raw);
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
        if Self::is_present(intid) && !intid.is_sgi() {
            self.distributor
                .write_trigger(array::ICFGR, intid.get(), trigger == Trigger::Edge);
        }
    }

    fn is_available(&self, intid: IntId) -> bool {
        Self::is_present(intid)
            && self
                .distributor
                .has_priority(array::IPRIORITYR, intid.get())
    }

    fn route(&self, intid: IntId, cpu: Mpidr) {
        if intid.is_spi()
            && let Some(mask) = self.masks.get(cpu)
        {
            self.distributor
                .write8(gicd::ITARGETSR + intid.get() as usize, mask as u8);
        }
    }

    fn is_pending(&self, intid: IntId) -> bool {
        Self::is_present(intid) && self.distributor.read_bit(array::ISPENDR, intid.get())
    }

    fn clear_pending(&self, intid: IntId) {
        self.write_bit(array::ICPENDR, intid);
    }

    fn set_pending(&self, intid: IntId) {
        self.write_bit(array::ISPENDR, intid);
    }

    #[inline]
    fn kick(&self, cpu: Mpidr, sgi: IntId) {
        if let Some(mask) = self.masks.get(cpu) {
            sysreg::complete_memory();
            self.distributor
                .write(gicd::SGIR, (mask as u32 & 0xff) << 16 | sgi.get() & 0xf);
        }
    }

    fn frames(&self) -> Option<[usize; 2]> {
        Some([self.cpu.base(), self.control.base()])
    }

    fn overlooks_levels(&self) -> bool {
        self.cpu.read(gicc::IIDR) == gicc::IIDR_QEMU
    }

    fn look_again(&self) {
        self.cpu.write(gicc::PMR, gicc::PMR_OPEN);
    }

    fn reset_virtual_interface(&self) {
        self.control.write(gich::HCR, 0);
        for index in 0..self.count() {
            self.control.write(gich::LR + index * 4, 0);
        }
        self.control.write(gich::APR, 0);
        self.control.write(gich::VMCR, 0);
        self.control.write(gich::HCR, gich::ENABLE);
    }

    /// It is in memory: a guest that is not to use it has it not mapped.
    #[cfg(feature = "legacy")]
    fn withhold_virtual_interface(&self) {}
}

impl ListRegisters for GicV2 {
    #[inline]
    fn count(&self) -> usize {
        ((self.control.read(gich::VTR) & 0x3f) as usize + 1).min(MAX_LIST_REGISTERS)
    }

    #[inline]
    fn empty(&self) -> u64 {
        u64::from(self.control.read(gich::ELRSR0) & 0xffff)
    }

    #[inline]
    fn read(&self, index: usize) -> ListRegister {
        if index >= MAX_LIST_REGISTERS {
            return ListRegister::EMPTY;
        }
        ListRegister::from_v2(self.control.read(gich::LR + index * 4))
    }

    #[inline]
    fn write(&self, index: usize, register: ListRegister) {
        if index < MAX_LIST_REGISTERS {
            self.control.write(gich::LR + index * 4, register.to_v2());
        }
    }

    #[inline]
    fn image(&self, index: usize, register: ListRegister) -> Option<u64> {
        Some(u64::from(register.to_v2()) | (index as u64 * 4) << 32)
    }

    #[inline]
    fn write_image(&self, index: usize, image: u64) {
        if index < MAX_LIST_REGISTERS {
            self.control.write(gich::LR + index * 4, image as u32);
        }
    }

    fn announce(&self, what: Announce) {
        let bit = |on: bool, bit: u32| if on { bit } else { 0 };
        self.control.write(
            gich::HCR,
            gich::ENABLE
                | bit(what.refill, gich::NONE_PENDING)
                | bit(what.unmatched, gich::UNMATCHED),
        );
    }

    fn running_priority(&self) -> u8 {
        match self.control.read(gich::APR) {
            0 => u8::MAX,
            // One bit for each of the 32 priorities (5.3.9).
            active => active.trailing_zeros() as u8 * 8,
        }
    }

    fn splits_ends(&self) -> bool {
        self.control.read(gich::VMCR) & gich::SPLIT != 0
    }
}
