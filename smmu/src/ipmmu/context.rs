//! One address space of an IPMMU.

use model::ipmmu::Tables;
use model::{Pa, Vmid};

use super::register_map::*;
use crate::{Cause, IommuError};

/// Memory types that stage-1 descriptors choose from by AttrIndx: 0 is Normal and not cacheable, as the devices' accesses are, 1 is
/// Device-nGnRE (Arm ARM G8.2.104).
const MEMORY_TYPES: u32 = 0x04 << 8 | 0x44;

/// How a context's table is to be walked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// IMTTBCR.
    pub(super) control: u32,
    /// What IMCTR says of it.
    pub(super) format: u32,
    /// IMMAIR0.
    pub(super) memory_types: u32,
}

impl Shape {
    /// For tables of a domain.
    ///
    /// # Errors
    /// [`IommuError::IpaBits`] for addresses wider than an IPMMU has, 40 bits.
    pub(super) const fn of(tables: Tables, ipa_bits: u8) -> Result<Self, IommuError> {
        match (tables, ipa_bits) {
            (Tables::Stage1, _) => Ok(Self::STAGE_1),
            // IMTTBCR.TSZ0 has five bits. A table of less than 39 bits is a whole page, too, and empty beyond them.
            (Tables::Stage2, 32..=39) => Ok(Self::stage_2(39)),
            (Tables::Stage2, 40) => Ok(Self::stage_2(40)),
            (Tables::Stage2, _) => Err(IommuError::IpaBits(ipa_bits)),
        }
    }

    /// The shape in which an empty page is an empty table.
    pub(super) const fn of_nothing(tables: Tables) -> Self {
        match tables {
            Tables::Stage1 => Self::STAGE_1,
            Tables::Stage2 => Self::stage_2(39),
        }
    }

    /// TSZ0 = 0: 32 bits.
    const STAGE_1: Self = Self {
        control: EAE | STAGE_1_LEVEL_1,
        format: 0,
        memory_types: MEMORY_TYPES,
    };

    const fn stage_2(bits: u32) -> Self {
        Self {
            control: EAE | PMB | STAGE_2_LEVEL_1 | (64 - bits),
            format: VA64,
            memory_types: 0,
        }
    }
}

/// The state of a context.
#[derive(Clone, Copy, Debug)]
pub struct Context {
    pub(super) role: Role,
    /// Its table.
    pub(super) root: Pa,
    /// How that is walked.
    pub(super) shape: Shape,
    /// Attached streams that use it.
    pub(super) streams: u32,
    /// Its faults are not told.
    pub(super) muted: bool,
}

/// What a context is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// For nothing: no micro-TLB uses it, and it is off.
    Free,
    /// Reserved, as both drivers have it for the first one.
    Reserved,
    /// For streams that are attached to nobody.
    Denying,
    /// For a partition, from its first start on.
    Partition(Vmid),
}

/// What a status means, the first thing that it tells.
pub(super) const fn cause(status: u32) -> Cause {
    if status & TF != 0 {
        Cause::Translation
    } else if status & PF != 0 {
        Cause::Permission
    } else if status & ABORT != 0 {
        Cause::ExternalAbort
    } else {
        Cause::Other(status as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpus_tables_are_walked_from_level_1_with_39_or_40_bits() {
        let control = |bits| Shape::of(Tables::Stage2, bits).map(|shape| shape.control);
        assert_eq!(control(32), Ok(0xc000_0059));
        assert_eq!(control(39), Ok(0xc000_0059));
        assert_eq!(control(40), Ok(0xc000_0058));
        assert_eq!(control(41), Err(IommuError::IpaBits(41)));
        assert_eq!(control(31), Err(IommuError::IpaBits(31)));
    }

    #[test]
    fn own_tables_are_walked_with_32_bits_however_wide_the_partition_is() {
        let shape = |bits| Shape::of(Tables::Stage1, bits).unwrap();
        assert_eq!(shape(40), shape(32));
        assert_eq!((shape(32).control, shape(32).format), (0x8000_0080, 0));
    }

    #[test]
    fn first_thing_that_a_status_tells_is_its_cause() {
        let found = [0b1, 0b11, 0b10, 0b110, 0b100, 1 << 4].map(cause);
        let expected = [
            Cause::Translation,
            Cause::Translation,
            Cause::Permission,
            Cause::Permission,
            Cause::ExternalAbort,
            Cause::Other(16),
        ];
        assert_eq!(found, expected);
    }
}
