//! One virtual interrupt as the hardware's virtual CPU interface presents it to the guest.

use model::IntId;

/// The most list registers that the architecture has (IHI 0069H 12.4.6, `ICH_LR<n>_EL2`); GICv2 has up to 64, of which 16 are used.
pub const MAX_LIST_REGISTERS: usize = 16;

/// State of a virtual interrupt in a list register. Bit 0 of its encoding is pending, bit 1 active.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LrState {
    /// Free, or ended by the guest.
    Empty,
    /// Waiting to be acknowledged.
    Pending,
    /// Acknowledged, not yet deactivated.
    Active,
    /// Acknowledged, and once more pending. Not allowed with a hardware link.
    PendingActive,
}

impl LrState {
    /// The state with these two bits.
    pub const fn new(pending: bool, active: bool) -> Self {
        match (pending, active) {
            (false, false) => Self::Empty,
            (true, false) => Self::Pending,
            (false, true) => Self::Active,
            (true, true) => Self::PendingActive,
        }
    }

    /// True in the two pending states.
    pub const fn is_pending(self) -> bool {
        matches!(self, Self::Pending | Self::PendingActive)
    }

    /// True in the two active states.
    pub const fn is_active(self) -> bool {
        matches!(self, Self::Active | Self::PendingActive)
    }

    #[cfg(any(feature = "v2", feature = "v3", feature = "shared"))]
    const fn bits(self) -> u64 {
        self.is_pending() as u64 | (self.is_active() as u64) << 1
    }

    #[cfg(any(feature = "v2", feature = "v3", feature = "shared"))]
    const fn from_bits(bits: u64) -> Self {
        Self::new(bits & 1 != 0, bits & 2 != 0)
    }
}

/// The content of a list register, in one form for both versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListRegister {
    /// The number that the guest reads.
    pub virtual_id: IntId,
    /// The physical interrupt that the guest's deactivation ends.
    pub hardware: Option<IntId>,
    /// Priority; GICv2 keeps its upper five bits.
    pub priority: u8,
    /// Group 1 if true, else group 0.
    pub group1: bool,
    /// Where it stands.
    pub state: LrState,
    /// Ask for a maintenance interrupt when the guest ends it. Only without hardware link.
    pub end_maintenance: bool,
    /// Source CPU of an SGI, 0 to 7. GICv2 only, and only without hardware link.
    #[cfg(feature = "virtual-v2")]
    pub source: u8,
}

impl ListRegister {
    /// A free list register.
    pub const EMPTY: Self = Self {
        virtual_id: IntId::new(0),
        hardware: None,
        priority: 0,
        group1: false,
        state: LrState::Empty,
        end_maintenance: false,
        #[cfg(feature = "virtual-v2")]
        source: 0,
    };

    /// The value of `ICH_LR<n>_EL2` (IHI 0069H 12.4.6).
    #[cfg(any(feature = "v3", feature = "shared"))]
    pub const fn to_v3(self) -> u64 {
        let link = match self.hardware {
            Some(physical) => 1 << 61 | (physical.get() as u64 & 0x1fff) << 32,
            None => (self.end_maintenance as u64) << 41,
        };
        self.virtual_id.get() as u64
            | link
            | (self.priority as u64) << 48
            | (self.group1 as u64) << 60
            | self.state.bits() << 62
    }

    /// What a value of `ICH_LR<n>_EL2` means.
    #[cfg(any(feature = "v3", feature = "shared"))]
    pub const fn from_v3(value: u64) -> Self {
        let linked = value >> 61 & 1 != 0;
        Self {
            virtual_id: IntId::new(value as u32),
            hardware: if linked {
                Some(IntId::new((value >> 32) as u32 & 0x1fff))
            } else {
                None
            },
            priority: (value >> 48) as u8,
            group1: value >> 60 & 1 != 0,
            state: LrState::from_bits(value >> 62),
            end_maintenance: !linked && value >> 41 & 1 != 0,
            #[cfg(feature = "virtual-v2")]
            source: 0,
        }
    }

    /// The value of `GICH_LR<n>` (IHI 0048B 5.3.10).
    #[cfg(feature = "v2")]
    pub const fn to_v2(self) -> u32 {
        let link = match self.hardware {
            Some(physical) => 1 << 31 | (physical.get() & 0x3ff) << 10,
            None => (self.end_maintenance as u32) << 19 | (self.source as u32 & 7) << 10,
        };
        self.virtual_id.get() & 0x3ff
            | link
            | (self.priority as u32 >> 3) << 23
            | (self.state.bits() as u32) << 28
            | (self.group1 as u32) << 30
    }

    /// What a value of `GICH_LR<n>` means.
    #[cfg(feature = "v2")]
    pub const fn from_v2(value: u32) -> Self {
        let linked = value >> 31 & 1 != 0;
        Self {
            virtual_id: IntId::new(value & 0x3ff),
            hardware: if linked {
                Some(IntId::new(value >> 10 & 0x3ff))
            } else {
                None
            },
            priority: ((value >> 23 & 0x1f) << 3) as u8,
            group1: value >> 30 & 1 != 0,
            state: LrState::from_bits(value as u64 >> 28 & 3),
            end_maintenance: !linked && value >> 19 & 1 != 0,
            source: if linked { 0 } else { (value >> 10 & 7) as u8 },
        }
    }
}

/// What the virtual CPU interface is to tell of, beside the ends that list registers announce. Each of it means that something found no
/// list register: while all have one, nothing is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Announce {
    /// A maintenance interrupt when no register is pending, since pending interrupts did not fit (`HCR.NPIE`).
    pub refill: bool,
    /// A maintenance interrupt when the guest ends an interrupt that is in no register (`HCR.LRENPIE`).
    pub unmatched: bool,
    /// A trap of the guest's deactivations (`ICH_HCR_EL2.TDIR`): which interrupt they are for must be known. Without effect on GICv2, whose
    /// `GICV_DIR` guests never reach.
    pub deactivations: bool,
}

impl Announce {
    /// Nothing is told of.
    pub const NOTHING: Self = Self {
        refill: false,
        unmatched: false,
        deactivations: false,
    };
}

/// The list registers of the calling CPU.
pub trait ListRegisters {
    /// How many there are: 2 to [`MAX_LIST_REGISTERS`].
    fn count(&self) -> usize;

    /// Bit n set: register n holds no interrupt (`ELRSR`). Unlike a register that [`ended`](Self::ended), it wants no attention.
    /// An ended register is not reported as empty (IHI 0069H 12.4.4).
    fn empty(&self) -> u64;

    /// Content of register `index`. An index past the end reads as [`ListRegister::EMPTY`].
    fn read(&self, index: usize) -> ListRegister;

    /// Replaces the content of register `index`. An index past the end is ignored.
    fn write(&self, index: usize, register: ListRegister);

    /// The content `register` as register `index` takes it by [`write_image`](Self::write_image), and as the exit vectors do: in the
    /// hardware's form, for GICv2 with the register's offset from `GICH_LR0` in the upper half. `None` where the vectors do not reach the registers.
    fn image(&self, index: usize, register: ListRegister) -> Option<u64>;

    /// Replaces the content of register `index` by an image that was made for it. An index past the end is ignored.
    fn write_image(&self, index: usize, image: u64);

    /// Replaces what is told of, and forgets the ends that were counted for it (`HCR.EOIcount`).
    fn announce(&self, what: Announce);

    /// The most urgent priority that the guest has acknowledged and not dropped, with its subpriority bits zero; 0xff if there is none.
    fn running_priority(&self) -> u8;

    /// True while the guest's end of interrupt only drops the priority, and a deactivation follows (`VMCR.VEOIM`).
    fn splits_ends(&self) -> bool;
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINKED: ListRegister = ListRegister {
        virtual_id: IntId::new(0x155),
        hardware: Some(IntId::new(0x2aa)),
        priority: 0xa8,
        group1: true,
        state: LrState::Pending,
        end_maintenance: false,
        source: 0,
    };

    #[test]
    fn v3_fields_are_at_the_bits_of_ihi_0069h_12_4_6() {
        let base = ListRegister::EMPTY;
        let cases: [(&str, ListRegister, u64); 9] = [
            ("empty", base, 0),
            (
                "vINTID 31:0",
                ListRegister {
                    virtual_id: IntId::new(0x8000_2001),
                    ..base
                },
                0x8000_2001,
            ),
            (
                "pINTID 44:32 and HW 61",
                ListRegister {
                    hardware: Some(IntId::new(0x1fff)),
                    ..base
                },
                1 << 61 | 0x1fff << 32,
            ),
            (
                "EOI 41",
                ListRegister {
                    end_maintenance: true,
                    ..base
                },
                1 << 41,
            ),
            (
                "priority 55:48",
                ListRegister {
                    priority: 0xff,
                    ..base
                },
                0xff << 48,
            ),
            (
                "group 60",
                ListRegister {
                    group1: true,
                    ..base
                },
                1 << 60,
            ),
            (
                "pending 62",
                ListRegister {
                    state: LrState::Pending,
                    ..base
                },
                1 << 62,
            ),
            (
                "active 63",
                ListRegister {
                    state: LrState::Active,
                    ..base
                },
                1 << 63,
            ),
            (
                "pending and active",
                ListRegister {
                    state: LrState::PendingActive,
                    ..base
                },
                3 << 62,
            ),
        ];
        for (field, register, value) in cases {
            assert_eq!(register.to_v3(), value, "{field}");
            assert_eq!(ListRegister::from_v3(value), register, "{field}");
        }
    }

    #[test]
    fn v2_fields_are_at_the_bits_of_ihi_0048b_5_3_10() {
        let base = ListRegister::EMPTY;
        let cases: [(&str, ListRegister, u32); 10] = [
            ("empty", base, 0),
            (
                "VirtualID 9:0",
                ListRegister {
                    virtual_id: IntId::new(0x3ff),
                    ..base
                },
                0x3ff,
            ),
            (
                "PhysicalID 19:10 and HW 31",
                ListRegister {
                    hardware: Some(IntId::new(0x3ff)),
                    ..base
                },
                1 << 31 | 0x3ff << 10,
            ),
            ("CPUID 12:10", ListRegister { source: 7, ..base }, 7 << 10),
            (
                "EOI 19",
                ListRegister {
                    end_maintenance: true,
                    ..base
                },
                1 << 19,
            ),
            (
                "priority 27:23",
                ListRegister {
                    priority: 0xf8,
                    ..base
                },
                0x1f << 23,
            ),
            (
                "pending 28",
                ListRegister {
                    state: LrState::Pending,
                    ..base
                },
                1 << 28,
            ),
            (
                "active 29",
                ListRegister {
                    state: LrState::Active,
                    ..base
                },
                1 << 29,
            ),
            (
                "pending and active",
                ListRegister {
                    state: LrState::PendingActive,
                    ..base
                },
                3 << 28,
            ),
            (
                "Grp1 30",
                ListRegister {
                    group1: true,
                    ..base
                },
                1 << 30,
            ),
        ];
        for (field, register, value) in cases {
            assert_eq!(register.to_v2(), value, "{field}");
            assert_eq!(ListRegister::from_v2(value), register, "{field}");
        }
    }

    #[test]
    fn linked_register_drops_maintenance_and_source() {
        let register = ListRegister {
            end_maintenance: true,
            source: 5,
            ..LINKED
        };
        assert_eq!(ListRegister::from_v3(register.to_v3()), LINKED);
        assert_eq!(ListRegister::from_v2(register.to_v2()), LINKED);
    }

    #[test]
    fn v2_priority_keeps_its_upper_five_bits() {
        assert_eq!(
            ListRegister::from_v2(
                ListRegister {
                    priority: 0xaf,
                    ..LINKED
                }
                .to_v2()
            )
            .priority,
            0xa8
        );
    }
}
