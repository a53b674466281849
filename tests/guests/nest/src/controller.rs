//! The interrupt controller, as this guest uses it: interrupts that no device stands behind, and `EOImode`.

use board::gic::Gic;
use board::{Board, mmio, timer, write_register};

/// How many interrupts are used: more than any interface of today has list registers.
pub const INTERRUPTS: u32 = 20;
/// The first of them, whose set and clear registers begin with its bit.
const FIRST: u32 = 64;

/// Distributor registers that both versions have (IHI 0048B 4.3, IHI 0069H 12.9).
const ISPENDR: u64 = 0x200;
const ISACTIVER: u64 = 0x300;
const IPRIORITYR: u64 = 0x400;
/// CPU interface of a GICv2 (IHI 0048B 4.4).
const GICC_CTLR: u64 = 0x0000;
const GICC_BPR: u64 = 0x0008;
const GICC_DIR: u64 = 0x1000;
const GICC_CTLR_ENABLE: u32 = 1;
/// `GICC_CTLR.EOImode`, which with two security states is that of the other one.
const GICC_CTLR_SPLIT: u32 = 1 << 9;
/// `ICC_CTLR_EL1.EOImode`.
const ICC_CTLR_SPLIT: u64 = 1 << 1;
/// The least urgent of them; each further one is a step more urgent. Five bits of priority are implemented at least.
const LEAST_URGENT: u32 = 0xe8;
const STEP: u32 = 8;
/// An interrupt that is made pending reaches the interface in less.
const PATIENCE_US: u64 = 100_000;

pub struct Controller(Gic);

impl Controller {
    pub fn set_up(board: &Board) -> Self {
        let controller = Self(board.gic);
        controller.0.init_distributor();
        controller.0.init_cpu();
        for number in (0..INTERRUPTS).step_by(4) {
            let priorities = [0, 1, 2, 3].map(|n| (LEAST_URGENT - STEP * (number + n)) as u8);
            let word = u32::from_le_bytes(priorities);
            controller.write(IPRIORITYR + u64::from(FIRST + number), word);
        }
        for number in 0..INTERRUPTS {
            controller.0.enable(FIRST + number);
        }
        if let Gic::V2(gic) = controller.0 {
            // SAFETY: the device tree says that a CPU interface is here.
            unsafe { mmio::write32(gic.cpu_interface.base + GICC_BPR, 0) };
        }
        controller
    }

    /// Whether ends drop the priority only.
    pub fn set_split(&self, split: bool) {
        match self.0 {
            Gic::V2(gic) => {
                let control = GICC_CTLR_ENABLE | if split { GICC_CTLR_SPLIT } else { 0 };
                // SAFETY: as above.
                unsafe { mmio::write32(gic.cpu_interface.base + GICC_CTLR, control) };
            }
            Gic::V3(_) => {
                write_register!("icc_ctlr_el1", if split { ICC_CTLR_SPLIT } else { 0 });
            }
        }
    }

    pub fn make_pending(&self, number: u32) {
        self.write(ISPENDR + u64::from(FIRST / 8), 1 << number);
    }

    /// Those that are active.
    pub fn active(&self) -> u32 {
        self.read(ISACTIVER + u64::from(FIRST / 8))
    }

    /// What is acknowledged now, if it is one of these.
    pub fn acknowledge(&self) -> Option<u32> {
        self.0.acknowledge()?.intid().checked_sub(FIRST)
    }

    /// The same, when it comes.
    pub fn acknowledge_soon(&self) -> Option<u32> {
        let mut found = None;
        timer::wait_until(PATIENCE_US, || {
            found = self.acknowledge();
            found.is_some()
        });
        found
    }

    pub fn end(&self, number: u32) {
        self.0.end_number(FIRST + number);
    }

    pub fn deactivate(&self, number: u32) {
        let intid = FIRST + number;
        match self.0 {
            // SAFETY: as in `set_split`.
            Gic::V2(gic) => unsafe { mmio::write32(gic.cpu_interface.base + GICC_DIR, intid) },
            Gic::V3(_) => write_register!("icc_dir_el1", u64::from(intid)),
        }
    }

    fn read(&self, offset: u64) -> u32 {
        // SAFETY: the device tree says that a distributor is here; no register read here has a side effect.
        unsafe { mmio::read32(self.0.distributor().base + offset) }
    }

    fn write(&self, offset: u64, value: u32) {
        // SAFETY: as above; the distributor does not touch memory.
        unsafe { mmio::write32(self.0.distributor().base + offset, value) }
    }
}
