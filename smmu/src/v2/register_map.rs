//! Registers of an SMMUv2 and their fields (Arm IHI 0062, chapters 9 to 11 and 16). What is of a context bank counts from its page.

/// Global register space 0.
pub const SCR0: usize = 0x0;
pub const SACR: usize = 0x10;
pub const IDR0: usize = 0x20;
pub const IDR1: usize = 0x24;
pub const IDR2: usize = 0x28;
pub const IDR7: usize = 0x3c;
pub const GFAR: usize = 0x40;
pub const GFSR: usize = 0x48;
pub const GFSYNR0: usize = 0x50;
pub const GFSYNR1: usize = 0x54;
pub const TLBIVMID: usize = 0x64;
pub const TLBIALLNSNH: usize = 0x68;
pub const TLBIALLH: usize = 0x6c;
pub const STLBGSYNC: usize = 0x70;
pub const STLBGSTATUS: usize = 0x74;
pub const SMR: usize = 0x800;
pub const S2CR: usize = 0xc00;

/// Global register space 1.
pub const CBAR: usize = 0x0;
pub const CBFRSYNRA: usize = 0x400;
pub const CBA2R: usize = 0x800;

/// A context bank.
pub const SCTLR: usize = 0x0;
pub const ACTLR: usize = 0x4;
pub const TTBR0: usize = 0x20;
pub const TCR: usize = 0x30;
pub const FSR: usize = 0x58;
pub const FAR: usize = 0x60;
pub const FSYNR0: usize = 0x68;

/// sCR0: what a global fault refuses is answered with an abort.
pub const GFRE: u32 = 1 << 1;
/// sCR0: global faults interrupt.
pub const GFIE: u32 = 1 << 2;
/// sCR0: stream numbers and masks have 16 bits.
pub const EXIDENABLE: u32 = 1 << 3;
/// sCR0: no context bank can hold an access that faults.
pub const STALLD: u32 = 1 << 8;
/// sCR0: what matches no entry faults, rather than passes.
pub const USFCFG: u32 = 1 << 10;
/// sCR0: VMIDs are this SMMU's own, and
pub const VMIDPNE: u32 = 1 << 11;
/// TLB maintenance that CPUs broadcast is not taken part in.
pub const PTM: u32 = 1 << 12;
/// sCR0: what matches several entries faults, rather than passes.
pub const SMCFCFG: u32 = 1 << 21;

/// sTLBGSTATUS: not done yet.
pub const GSACTIVE: u32 = 1 << 0;

/// SMR: the entry counts. With EXIDENABLE it is not there.
pub const SMR_VALID: u32 = 1 << 31;
/// S2CR: the entry counts, with EXIDENABLE.
pub const EXIDVALID: u32 = 1 << 10;
/// S2CR: to a fault. Type 0 is to the context bank with the number in the low bits.
pub const TO_FAULT: u32 = 2 << 16;

/// CBA2R: tables of the AArch64 format.
pub const VA64: u32 = 1 << 0;

/// SCTLR: translation. Without it all that comes to the bank passes.
pub const M: u32 = 1 << 0;
/// SCTLR: what faults is answered with an abort.
pub const CFRE: u32 = 1 << 5;
/// SCTLR: faults interrupt.
pub const CFIE: u32 = 1 << 6;
/// SCTLR: a fault that was not served yet does not stop what comes later.
pub const HUPCF: u32 = 1 << 8;

/// FSR and GFSR: more faults came before this one was served; nothing is known of them.
pub const MULTI: u32 = 1 << 31;

/// sACR of an MMU-500 (Arm DDI 0517, 3.5.1): ACTLR of context banks cannot be written.
pub const CACHE_LOCK: u32 = 1 << 26;
/// sACR of an MMU-500: TLBs keep what is not translated, as streams that match nothing and
pub const SMTNMB_TLBEN: u32 = 1 << 8;
/// entries of type bypass are.
pub const S2CRB_TLBEN: u32 = 1 << 10;
/// ACTLR of an MMU-500: the next page is fetched in advance.
pub const CPRE: u32 = 1 << 1;
