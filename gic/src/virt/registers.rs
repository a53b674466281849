//! The register maps as data: which register is at an offset, and with which widths it may be accessed.

use super::{Version, Width};

/// A register, or an array of them over all interrupts. Names without number are arrays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Register {
    /// `GICD_CTLR`.
    Control,
    /// `GICD_TYPER`.
    Type,
    /// `GICD_IIDR` and `GICR_IIDR`.
    Implementer,
    /// `IGROUPR`.
    Group,
    /// `ISENABLER`.
    SetEnable,
    /// `ICENABLER`.
    ClearEnable,
    /// `ISPENDR`.
    SetPending,
    /// `ICPENDR`.
    ClearPending,
    /// `ISACTIVER`.
    SetActive,
    /// `ICACTIVER`.
    ClearActive,
    /// `IPRIORITYR`.
    Priority,
    /// `GICD_ITARGETSR`.
    #[cfg(feature = "virtual-v2")]
    Target,
    /// `ICFGR`.
    Configuration,
    /// `GICD_SGIR`.
    #[cfg(feature = "virtual-v2")]
    Sgi,
    /// `GICD_CPENDSGIR`.
    #[cfg(feature = "virtual-v2")]
    ClearSgiPending,
    /// `GICD_SPENDSGIR`.
    #[cfg(feature = "virtual-v2")]
    SetSgiPending,
    /// `GICD_IROUTER`.
    #[cfg(feature = "virtual-v3")]
    Route,
    /// `GICR_TYPER`.
    #[cfg(feature = "virtual-v3")]
    RedistributorType,
    /// `GICR_WAKER`.
    #[cfg(feature = "virtual-v3")]
    Waker,
    /// `GICR_CTLR`: only LPIs have something in it.
    #[cfg(feature = "virtual-v3")]
    RedistributorControl,
    /// `GICR_PROPBASER` and `GICR_PENDBASER`, which only LPIs need.
    #[cfg(feature = "virtual-v3")]
    LpiTables,
    /// The identification registers of the last 48 bytes.
    Identification,
    /// Defined, but reads as zero and ignores writes in this implementation.
    #[cfg(feature = "virtual-v3")]
    Zero,
}

/// Widths as a set: the sum of their lengths in bytes.
type Widths = u32;
const WORD: Widths = 4;
const BYTE_WORD: Widths = 1 + 4;
#[cfg(feature = "virtual-v3")]
const WORD_DOUBLE: Widths = 4 + 8;

/// `first .. end` is `register`; accessible with `widths`.
struct Entry {
    first: u32,
    end: u32,
    widths: Widths,
    register: Register,
}

const fn entry(first: u32, end: u32, widths: Widths, register: Register) -> Entry {
    Entry {
        first,
        end,
        widths,
        register,
    }
}

/// The GICv2 distributor (IHI 0048B, table 4-1).
#[cfg(feature = "virtual-v2")]
const DISTRIBUTOR_V2: [Entry; 17] = [
    entry(0x000, 0x004, WORD, Register::Control),
    entry(0x004, 0x008, WORD, Register::Type),
    entry(0x008, 0x00c, WORD, Register::Implementer),
    entry(0x080, 0x100, WORD, Register::Group),
    entry(0x100, 0x180, WORD, Register::SetEnable),
    entry(0x180, 0x200, WORD, Register::ClearEnable),
    entry(0x200, 0x280, WORD, Register::SetPending),
    entry(0x280, 0x300, WORD, Register::ClearPending),
    entry(0x300, 0x380, WORD, Register::SetActive),
    entry(0x380, 0x400, WORD, Register::ClearActive),
    entry(0x400, 0x7fc, BYTE_WORD, Register::Priority),
    entry(0x800, 0xbfc, BYTE_WORD, Register::Target),
    entry(0xc00, 0xd00, WORD, Register::Configuration),
    entry(0xf00, 0xf04, WORD, Register::Sgi),
    entry(0xf10, 0xf20, BYTE_WORD, Register::ClearSgiPending),
    entry(0xf20, 0xf30, BYTE_WORD, Register::SetSgiPending),
    entry(0xfd0, 0x1000, WORD, Register::Identification),
];

/// The GICv3 distributor (IHI 0069H, table 12-25) with affinity routing, one security state, no message-based SPIs and no extended SPIs.
#[cfg(feature = "virtual-v3")]
const DISTRIBUTOR_V3: [Entry; 20] = [
    entry(0x0000, 0x0004, WORD, Register::Control),
    entry(0x0004, 0x0008, WORD, Register::Type),
    entry(0x0008, 0x000c, WORD, Register::Implementer),
    // TYPER2, STATUSR (optional), SETSPI and CLRSPI (TYPER.MBIS = 0).
    entry(0x000c, 0x0014, WORD, Register::Zero),
    entry(0x0040, 0x005c, WORD | 2, Register::Zero),
    entry(0x0080, 0x0100, WORD, Register::Group),
    entry(0x0100, 0x0180, WORD, Register::SetEnable),
    entry(0x0180, 0x0200, WORD, Register::ClearEnable),
    entry(0x0200, 0x0280, WORD, Register::SetPending),
    entry(0x0280, 0x0300, WORD, Register::ClearPending),
    entry(0x0300, 0x0380, WORD, Register::SetActive),
    entry(0x0380, 0x0400, WORD, Register::ClearActive),
    entry(0x0400, 0x07fc, BYTE_WORD, Register::Priority),
    // ITARGETSR: no effect with affinity routing (12.9.42).
    entry(0x0800, 0x0bfc, BYTE_WORD, Register::Zero),
    entry(0x0c00, 0x0d00, WORD, Register::Configuration),
    // IGRPMODR and NSACR: no effect with one security state (12.9.10, 12.9.30).
    entry(0x0d00, 0x0f00, WORD, Register::Zero),
    // SGIR, CPENDSGIR, SPENDSGIR: no effect with affinity routing.
    entry(0x0f00, 0x0f30, BYTE_WORD, Register::Zero),
    // IROUTER<32> to IROUTER<1019>, and the reserved place of the private ones.
    entry(0x6000, 0x6100, WORD_DOUBLE, Register::Zero),
    entry(0x6100, 0x7fe0, WORD_DOUBLE, Register::Route),
    entry(0xffd0, 0x1_0000, WORD, Register::Identification),
];

/// A GICv3 redistributor (IHI 0069H, tables 12-27 and 12-28): the control frame, then the frame of private interrupts.
#[cfg(feature = "virtual-v3")]
const REDISTRIBUTOR: [Entry; 22] = [
    entry(0x0_0000, 0x0_0004, WORD, Register::RedistributorControl),
    entry(0x0_0004, 0x0_0008, WORD, Register::Implementer),
    entry(0x0_0008, 0x0_0010, WORD_DOUBLE, Register::RedistributorType),
    entry(0x0_0010, 0x0_0014, WORD, Register::Zero),
    entry(0x0_0014, 0x0_0018, WORD, Register::Waker),
    entry(0x0_0018, 0x0_0020, WORD, Register::Zero),
    // SETLPIR, CLRLPIR; INVLPIR, INVALLR, SYNCR: only without an ITS (CTLR.IR = 0, TYPER.DirectLPI = 0).
    entry(0x0_0040, 0x0_0070, WORD_DOUBLE, Register::Zero),
    entry(0x0_0070, 0x0_0080, WORD_DOUBLE, Register::LpiTables),
    entry(0x0_0080, 0x0_00c4, WORD_DOUBLE, Register::Zero),
    entry(0x0_ffd0, 0x1_0000, WORD, Register::Identification),
    entry(0x1_0080, 0x1_0084, WORD, Register::Group),
    entry(0x1_0100, 0x1_0104, WORD, Register::SetEnable),
    entry(0x1_0180, 0x1_0184, WORD, Register::ClearEnable),
    entry(0x1_0200, 0x1_0204, WORD, Register::SetPending),
    entry(0x1_0280, 0x1_0284, WORD, Register::ClearPending),
    entry(0x1_0300, 0x1_0304, WORD, Register::SetActive),
    entry(0x1_0380, 0x1_0384, WORD, Register::ClearActive),
    entry(0x1_0400, 0x1_0420, BYTE_WORD, Register::Priority),
    entry(0x1_0c00, 0x1_0c08, WORD, Register::Configuration),
    entry(0x1_0d00, 0x1_0d04, WORD, Register::Zero),
    entry(0x1_0e00, 0x1_0e04, WORD, Register::Zero),
    entry(0x1_ffd0, 0x2_0000, WORD, Register::Identification),
];

/// Which register map applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Map {
    Distributor(Version),
    #[cfg(feature = "virtual-v3")]
    Redistributor,
}

/// Where to begin the search: for each block of 128 bytes of a page the first entry that does not end before it, and last the first one
/// that does not end before the page does.
struct Index {
    /// Offset of the page.
    page: u32,
    first: [u8; BLOCKS + 1],
}

const BLOCKS: usize = 32;
const BLOCK: u32 = 0x80;

impl Index {
    #[allow(clippy::indexing_slicing, reason = "evaluated when compiled")]
    const fn new(page: u32, entries: &[Entry]) -> Self {
        let mut first = [0; BLOCKS + 1];
        let mut block = 0;
        let mut entry = 0;
        while block <= BLOCKS {
            while entry < entries.len() && entries[entry].end <= page + block as u32 * BLOCK {
                entry += 1;
            }
            first[block] = entry as u8;
            block += 1;
        }
        Self { page, first }
    }

    fn start(&self, offset: u32) -> usize {
        let Some(within) = offset.checked_sub(self.page) else {
            return 0;
        };
        let block = ((within / BLOCK) as usize).min(BLOCKS);
        self.first.get(block).map_or(0, |entry| usize::from(*entry))
    }
}

#[cfg(feature = "virtual-v2")]
static INDEX_V2: Index = Index::new(0, &DISTRIBUTOR_V2);
#[cfg(feature = "virtual-v3")]
static INDEX_V3: Index = Index::new(0, &DISTRIBUTOR_V3);
#[cfg(feature = "virtual-v3")]
static INDEX_REDISTRIBUTOR: Index = Index::new(0x1_0000, &REDISTRIBUTOR);

/// The register at `offset`, and how far into it the access lies; `None` when nothing is there for this width, or the access is unaligned.
pub(super) fn find(map: Map, offset: u32, width: Width) -> Option<(Register, u32)> {
    let (entries, index): (&[Entry], _) = match map {
        #[cfg(feature = "virtual-v2")]
        Map::Distributor(Version::V2) => (&DISTRIBUTOR_V2, &INDEX_V2),
        #[cfg(feature = "virtual-v3")]
        Map::Distributor(Version::V3) => (&DISTRIBUTOR_V3, &INDEX_V3),
        #[cfg(feature = "virtual-v3")]
        Map::Redistributor => (&REDISTRIBUTOR, &INDEX_REDISTRIBUTOR),
    };
    let entry = entries
        .get(index.start(offset)..)?
        .iter()
        .find(|entry| offset < entry.end)
        .filter(|entry| offset >= entry.first)?;
    let allowed = entry.widths & width.bytes() != 0 && offset.is_multiple_of(width.bytes());
    allowed.then_some((entry.register, offset - entry.first))
}

/// Peripheral and component identification, from `PIDR4` on (IHI 0069H 12.1.13): a GICv2 or GICv3 of Arm's layout.
pub(super) fn identification(version: Version, offset: u32) -> u32 {
    #[cfg(feature = "virtual-v2")]
    const V2: [u32; 12] = [0x04, 0, 0, 0, 0x90, 0xb4, 0x2b, 0, 0x0d, 0xf0, 0x05, 0xb1];
    #[cfg(feature = "virtual-v3")]
    const V3: [u32; 12] = [0x44, 0, 0, 0, 0x92, 0xb4, 0x3b, 0, 0x0d, 0xf0, 0x05, 0xb1];
    let words = match version {
        #[cfg(feature = "virtual-v2")]
        Version::V2 => V2,
        #[cfg(feature = "virtual-v3")]
        Version::V3 => V3,
    };
    words.get((offset / 4) as usize).copied().unwrap_or(0)
}
