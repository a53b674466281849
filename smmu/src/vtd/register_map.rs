//! Registers of a VT-d remapping unit and their fields (Intel 671081, chapter 11).

pub const CAP: usize = 0x8;
pub const ECAP: usize = 0x10;
pub const GCMD: usize = 0x18;
pub const GSTS: usize = 0x1c;
pub const RTADDR: usize = 0x20;
pub const FSTS: usize = 0x34;
pub const FECTL: usize = 0x38;
pub const FEDATA: usize = 0x3c;
pub const FEADDR: usize = 0x40;
pub const FEUADDR: usize = 0x44;
pub const PMEN: usize = 0x64;
pub const IQH: usize = 0x80;
pub const IQT: usize = 0x88;
pub const IQA: usize = 0x90;
pub const IRTA: usize = 0xb8;

/// GCMD and GSTS: DMA is translated.
pub const TE: u32 = 1 << 31;
/// The root table's address is taken.
pub const SRTP: u32 = 1 << 30;
/// What waits in internal buffers goes to memory; GSTS has it while it is under way.
pub const WBF: u32 = 1 << 27;
/// The invalidation queue is used.
pub const QIE: u32 = 1 << 26;
/// Interrupts are remapped.
pub const IRE: u32 = 1 << 25;
/// The interrupt table's address is taken.
pub const SIRTP: u32 = 1 << 24;
/// Interrupts in the compatibility format pass.
pub const CFI: u32 = 1 << 23;
/// What stays as GSTS has it; the others are orders that are given once. Among them the bits of advanced fault logging, which is never on.
pub const LASTING: u32 = TE | QIE | IRE | CFI;

/// FSTS: faults were lost, and none is recorded until this is cleared.
pub const PFO: u32 = 1 << 0;
/// There are records.
pub const PPF: u32 = 1 << 1;
/// The queue stands at a descriptor that was not understood.
pub const IQE: u32 = 1 << 4;
/// Errors that are cleared by writing them: of records, of the advanced log, of invalidations.
pub const ERRORS: u32 = 0b111_1101;

/// FECTL: no interrupt is raised for faults.
pub const MASKED: u32 = 1 << 31;

/// PMEN: the protected regions are protected, and whether they are.
pub const EPM: u32 = 1 << 31;
pub const PRS: u32 = 1 << 0;

/// IRTA: destinations have 32 bits.
pub const EIME: u64 = 1 << 11;
