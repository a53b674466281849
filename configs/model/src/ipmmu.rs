//! What the image must know of a Renesas IPMMU (IPMMU-VMSA of R-Car Gen3 and Gen4).

use crate::ids::Pa;
use crate::memory::{PAGE, PhysicalRange};

/// An IPMMU: the main instance, which walks tables and raises interrupts for all, and its cache instances, to whose micro-TLBs the
/// devices are connected.
///
/// A stream is numbered by its cache instance and its micro-TLB there: see [`Ipmmu::stream`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ipmmu {
    /// How its registers are laid out.
    pub generation: Generation,
    /// Which tables it walks.
    pub tables: Tables,
    /// The oldest revision of the chip on which it can be used, where there are older ones.
    pub revision: Option<Revision>,
}

/// Register layouts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Generation {
    /// R-Car Gen3 and RZ/G2: 8 contexts, up to 48 micro-TLBs at an instance.
    Gen3,
    /// R-Car Gen4 and V3U: 16 contexts, up to 64 micro-TLBs at an instance.
    Gen4,
}

/// Tables that an IPMMU walks. It never looks into caches for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tables {
    /// Those of the CPU: VMSAv8-64 stage 2, up to 40 bits.
    Stage2,
    /// Its own: the long-descriptor format of stage 1 (VMSAv8-32). Devices reach the lowest 4 GiB of a partition's addresses.
    Stage1,
}

/// Revisions of a chip, told by its product register (PRR).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Revision {
    /// Where the product register is.
    pub register: Pa,
    /// The oldest revision that will do, as bits 7:0 of the register tell it: 0x20 is ES3.0.
    pub least: u8,
}

impl Revision {
    /// The page in which the product register lies.
    pub const fn page(&self) -> PhysicalRange {
        PhysicalRange {
            base: Pa::new(self.register.get() & !(PAGE - 1)),
            size: PAGE,
        }
    }
}

impl Ipmmu {
    /// Most cache instances: more than any chip has (H3 has 16).
    pub const MOST_CACHES: usize = 32;

    /// The number of the stream that comes through a micro-TLB of a cache instance.
    pub const fn stream(cache: u8, micro_tlb: u8) -> u32 {
        (cache as u32) << 8 | micro_tlb as u32
    }
}

impl Generation {
    /// `compatible` of its instances in device trees; one of them is there.
    pub const fn compatible(self) -> &'static [&'static str] {
        match self {
            Self::Gen3 => &[
                "renesas,ipmmu-r8a7795",
                "renesas,ipmmu-r8a77961",
                "renesas,ipmmu-r8a77965",
                "renesas,ipmmu-r8a77970",
                "renesas,ipmmu-r8a77980",
                "renesas,ipmmu-r8a77990",
                "renesas,ipmmu-r8a77995",
                "renesas,ipmmu-r8a774b1",
                "renesas,ipmmu-r8a774c0",
                "renesas,ipmmu-r8a774e1",
            ],
            Self::Gen4 => &["renesas,ipmmu-r8a779a0", "renesas,rcar-gen4-ipmmu-vmsa"],
        }
    }

    /// Contexts of an instance: address spaces, the first of which is reserved.
    pub const fn contexts(self) -> u8 {
        match self {
            Self::Gen3 => 8,
            Self::Gen4 => 16,
        }
    }

    /// Contexts that partitions can have: neither the reserved one nor that which denies everything.
    pub const fn partitions(self) -> u8 {
        self.contexts() - 2
    }

    /// Micro-TLBs that an instance has registers for.
    pub const fn micro_tlbs(self) -> u8 {
        match self {
            Self::Gen3 => 48,
            Self::Gen4 => 64,
        }
    }

    /// Bytes of registers of an instance.
    pub const fn registers(self) -> u64 {
        match self {
            Self::Gen3 => 0x1000,
            Self::Gen4 => 0x2_0000,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stream_tells_cache_and_micro_tlb() {
        assert_eq!(Ipmmu::stream(0, 5), 5);
        assert_eq!(Ipmmu::stream(3, 47), 0x32f);
    }

    #[test]
    fn two_contexts_are_no_partitions() {
        let [gen3, gen4] = [Generation::Gen3, Generation::Gen4].map(Generation::partitions);
        assert_eq!([gen3, gen4], [6, 14]);
    }
}
