//! Names of things: addresses, CPUs, interrupts, streams.

/// Declares a newtype over an unsigned integer with `new`, `get`, hexadecimal `Debug` and total order.
macro_rules! id {
    ($(#[$doc:meta])* $name:ident($int:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(transparent)]
        pub struct $name($int);

        impl $name {
            /// Wraps a bare number.
            pub const fn new(value: $int) -> Self {
                Self(value)
            }

            /// The bare number, for the edge where it becomes a register value or text.
            pub const fn get(self) -> $int {
                self.0
            }
        }

        impl core::fmt::Debug for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                write!(f, concat!(stringify!($name), "({:#x})"), self.0)
            }
        }
    };
}

/// Adds address arithmetic to an address type. Overflow is `None`: an address from outside is an allegation until it is checked.
macro_rules! address {
    ($name:ident) => {
        impl $name {
            /// `self + bytes`, or `None` past the end of the 64-bit space.
            pub const fn checked_add(self, bytes: u64) -> Option<Self> {
                match self.0.checked_add(bytes) {
                    Some(sum) => Some(Self(sum)),
                    None => None,
                }
            }

            /// Distance in bytes from `base` up to `self`, or `None` when `self` lies below `base`.
            pub const fn offset_from(self, base: Self) -> Option<u64> {
                self.0.checked_sub(base.0)
            }

            /// True when the address is a multiple of `alignment`, a power of two.
            pub const fn is_aligned(self, alignment: u64) -> bool {
                self.0 & (alignment - 1) == 0
            }
        }

        impl core::fmt::Display for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                write!(f, "{:#x}", self.0)
            }
        }
    };
}

id!(
    /// A physical address, as the interconnect sees it.
    Pa(u64)
);
id!(
    /// An intermediate physical address: what a partition believes to be physical.
    Ipa(u64)
);
address!(Pa);
address!(Ipa);

id!(
    /// Index into [`System::pcpus`](crate::system::System::pcpus): the n-th physical CPU that the system uses.
    PcpuId(u8)
);
id!(
    /// Index of a virtual CPU within its partition.
    VcpuId(u8)
);
id!(
    /// Index into [`System::partitions`](crate::system::System::partitions).
    PartitionId(u8)
);
id!(
    /// Tag of a partition's translations in the TLBs. 8 bits suffice on every Arm core; 0 is kept for "no partition".
    Vmid(u16)
);
id!(
    /// A DMA requester as its IOMMU names it.
    StreamId(u32)
);
id!(
    /// Affinity of a CPU: the value of `MPIDR_EL1` masked to Aff3, Aff2, Aff1, Aff0 (bits 39:32 and 23:0; Arm ARM D19.2.100).
    Mpidr(u64)
);
id!(
    /// A GIC interrupt number (Arm IHI 0069H, section 2.2): 0-15 SGI, 16-31 PPI, 32-1019 SPI, 8192 and up LPI.
    IntId(u32)
);

impl Mpidr {
    /// The affinity bits of `MPIDR_EL1`; the others say how the CPU is built, not which one it is.
    pub const AFFINITY: u64 = 0xff_00ff_ffff;

    /// Keeps only the affinity bits of a register value.
    pub const fn from_register(value: u64) -> Self {
        Self(value & Self::AFFINITY)
    }

    /// Affinity level `level` (0 to 3).
    pub const fn affinity(self, level: u32) -> u8 {
        match level {
            0 => self.0 as u8,
            1 => (self.0 >> 8) as u8,
            2 => (self.0 >> 16) as u8,
            _ => (self.0 >> 32) as u8,
        }
    }
}

impl IntId {
    /// First peripheral interrupt private to a CPU.
    pub const FIRST_PPI: u32 = 16;
    /// First interrupt shared by all CPUs.
    pub const FIRST_SPI: u32 = 32;
    /// First number that is not an ordinary SPI: 1020 to 1023 are special, 1024 and up are extended or LPIs.
    pub const END_SPI: u32 = 1020;
    /// First locality-specific peripheral interrupt: those that an ITS signals.
    pub const FIRST_LPI: u32 = 8192;

    /// True for a software-generated interrupt.
    pub const fn is_sgi(self) -> bool {
        self.0 < Self::FIRST_PPI
    }

    /// True for an interrupt that each CPU has its own copy of: SGIs and PPIs.
    pub const fn is_private(self) -> bool {
        self.0 < Self::FIRST_SPI
    }

    /// True for a locality-specific peripheral interrupt.
    pub const fn is_lpi(self) -> bool {
        self.0 >= Self::FIRST_LPI
    }

    /// True for an ordinary shared peripheral interrupt.
    pub const fn is_spi(self) -> bool {
        self.0 >= Self::FIRST_SPI && self.0 < Self::END_SPI
    }
}

#[cfg(feature = "espi")]
impl IntId {
    /// First extended SPI: a GICv3.1 may have 1,024 more SPIs.
    pub const FIRST_EXTENDED_SPI: u32 = 4096;
    /// How many extended SPIs there are at most.
    pub const EXTENDED_SPIS: u32 = 1024;

    /// Which extended SPI this is, from 0 on; `None` for all others.
    pub const fn extended_spi(self) -> Option<u32> {
        match self.0.checked_sub(Self::FIRST_EXTENDED_SPI) {
            Some(number) if number < Self::EXTENDED_SPIS => Some(number),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mpidr_register_value_keeps_affinity_and_drops_the_rest() {
        // Bit 31 is RES1, bit 24 MT: neither names a CPU.
        let id = Mpidr::from_register(0x0000_0007_8102_0305);
        assert_eq!(id.get(), 0x07_0002_0305);
        assert_eq!(
            [
                id.affinity(3),
                id.affinity(2),
                id.affinity(1),
                id.affinity(0)
            ],
            [7, 2, 3, 5]
        );
    }

    #[test]
    fn address_past_the_end_is_none() {
        assert_eq!(Ipa::new(u64::MAX).checked_add(1), None);
        assert_eq!(Pa::new(4).offset_from(Pa::new(5)), None);
    }

    #[test]
    #[cfg(feature = "espi")]
    fn extended_spis_are_1024_from_4096_on_and_are_no_ordinary_ones() {
        let numbers = [4095, 4096, 5119, 5120].map(|intid| IntId::new(intid).extended_spi());
        assert_eq!(numbers, [None, Some(0), Some(1023), None]);
        assert!(!IntId::new(4096).is_spi() && !IntId::new(5119).is_lpi());
    }

    #[test]
    fn interrupt_numbers_fall_into_their_classes() {
        assert!(IntId::new(15).is_sgi() && IntId::new(15).is_private());
        assert!(!IntId::new(16).is_sgi() && IntId::new(31).is_private());
        assert!(IntId::new(32).is_spi() && IntId::new(1019).is_spi());
        assert!(!IntId::new(1020).is_spi() && !IntId::new(8192).is_spi());
        assert!(!IntId::new(8191).is_lpi() && IntId::new(8192).is_lpi());
    }
}
