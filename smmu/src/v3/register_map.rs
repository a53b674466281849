//! Registers of an SMMUv3 and their fields (Arm IHI 0070, chapter 6.3).

pub const IDR0: usize = 0x0;
pub const IDR1: usize = 0x4;
pub const IDR5: usize = 0x14;
pub const CR0: usize = 0x20;
pub const CR0ACK: usize = 0x24;
pub const CR1: usize = 0x28;
pub const CR2: usize = 0x2c;
pub const GBPA: usize = 0x44;
pub const IRQ_CTRL: usize = 0x50;
pub const IRQ_CTRLACK: usize = 0x54;
pub const GERROR: usize = 0x60;
pub const GERRORN: usize = 0x64;
pub const GERROR_IRQ_CFG0: usize = 0x68;
pub const STRTAB_BASE: usize = 0x80;
pub const STRTAB_BASE_CFG: usize = 0x88;
pub const CMDQ_BASE: usize = 0x90;
pub const CMDQ_PROD: usize = 0x98;
pub const CMDQ_CONS: usize = 0x9c;
pub const EVENTQ_BASE: usize = 0xa0;
pub const EVENTQ_IRQ_CFG0: usize = 0xb0;
/// Where page 1 is.
pub const PAGE_1: usize = 0x1_0000;
/// Of page 1.
pub const EVENTQ_PROD: usize = 0xa8;
/// Of page 1.
pub const EVENTQ_CONS: usize = 0xac;

/// CR0: translation.
pub const SMMUEN: u32 = 1 << 0;
/// CR0: the event queue.
pub const EVENTQEN: u32 = 1 << 2;
/// CR0: the command queue.
pub const CMDQEN: u32 = 1 << 3;
/// CR0: accesses that claim to be translated are checked too (IHI 0070, 3.9.2).
pub const ATSCHK: u32 = 1 << 4;

/// CR1: tables and queues are read and written inner shareable, write-back cacheable.
pub const CR1_COHERENT: u32 = 3 << 10 | 1 << 8 | 1 << 6 | 3 << 4 | 1 << 2 | 1;

/// CR2: TLB maintenance that CPUs broadcast is not taken part in.
pub const PTM: u32 = 1 << 2;

/// IRQ_CTRL: interrupts for global errors.
pub const GERROR_IRQEN: u32 = 1 << 0;
/// IRQ_CTRL: interrupts for events.
pub const EVENTQ_IRQEN: u32 = 1 << 2;

/// GERROR: a command was refused.
pub const CMDQ_ERR: u32 = 1 << 0;
/// GERROR: an event could not be written.
pub const EVENTQ_ABT_ERR: u32 = 1 << 2;
/// GERROR: service failure mode.
pub const SFM_ERR: u32 = 1 << 8;

/// Base registers: the SMMU may use hints to allocate in caches for what it reads (tables, commands) or writes (events).
pub const ALLOCATE: u64 = 1 << 62;
/// EVENTQ_PROD: changes when events are lost; EVENTQ_CONS: how software says that it knows.
pub const OVERFLOW: u32 = 1 << 31;
