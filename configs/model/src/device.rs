//! Interrupts and virtual devices of a partition.

use crate::ids::{IntId, Ipa};

/// How an interrupt line signals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// Level-sensitive: asserted until the device is served.
    Level,
    /// Edge-triggered: one pulse, one interrupt.
    Edge,
}

/// A physical interrupt that a partition owns. Its number is the same inside and outside, as on the bare board; but an extended SPI is an ordinary
/// one inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PassedInterrupt {
    /// Its number, an SPI or an extended one.
    pub intid: IntId,
    /// How its line signals.
    pub trigger: Trigger,
    /// The number that the partition sees, an SPI.
    #[cfg(feature = "espi")]
    pub seen: IntId,
}

impl PassedInterrupt {
    /// An interrupt that has its own number inside, too.
    pub const fn new(intid: IntId, trigger: Trigger) -> Self {
        Self {
            intid,
            trigger,
            #[cfg(feature = "espi")]
            seen: intid,
        }
    }

    /// The number that the partition sees.
    pub const fn seen(&self) -> IntId {
        #[cfg(feature = "espi")]
        return self.seen;
        #[cfg(not(feature = "espi"))]
        self.intid
    }
}

/// The emulated PL011 of a partition (Arm DDI 0183G).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VirtualUart {
    /// Base of its one 4 KiB page.
    pub base: Ipa,
    /// Its interrupt, level-sensitive.
    pub intid: IntId,
}

/// The interrupt controller that a partition sees: at the addresses of its board's, of the same architecture version or an older one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VirtualGic {
    /// GICv2: the distributor is emulated. The first page of the CPU interface is the hardware's virtual one, mapped in stage 2, or emulated on a
    /// board with a GICv3. The second page has only `GICC_DIR`, and is always emulated: hardware deactivates what is in a list register,
    /// and nothing else.
    #[cfg(feature = "virtual-v2")]
    V2 {
        /// Base of the emulated distributor, 4 KiB.
        distributor: Ipa,
        /// Base of the CPU interface, 8 KiB.
        cpu_interface: Ipa,
        /// The first page is emulated, too.
        emulated: bool,
    },
    /// GICv3: distributor and redistributors are emulated; the CPU interface is in system registers.
    V3 {
        /// Base of the emulated distributor, 64 KiB.
        distributor: Ipa,
        /// Base of the emulated redistributors: one pair of 64 KiB frames per virtual CPU, `stride` apart.
        redistributors: Ipa,
        /// Distance between redistributors in bytes: at least 128 KiB.
        stride: u64,
    },
}

/// Width of one access to a device register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Width {
    /// 8 bits.
    Byte,
    /// 16 bits.
    Half,
    /// 32 bits.
    Word,
    /// 64 bits.
    Double,
}

impl Width {
    /// Number of bytes: 1, 2, 4 or 8.
    pub const fn bytes(self) -> u32 {
        match self {
            Self::Byte => 1,
            Self::Half => 2,
            Self::Word => 4,
            Self::Double => 8,
        }
    }
}
