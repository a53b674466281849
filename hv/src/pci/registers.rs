//! Registers of a function's configuration space (PCI 6.1 and 6.2): offsets of words.

/// Vendor, and device in the upper half.
pub const ID: u16 = 0x00;
/// Command, and status in the upper half.
pub const COMMAND: u16 = 0x04;
/// Revision, and class in the upper three bytes.
pub const CLASS: u16 = 0x08;
/// Cache line size, latency timer, header type and self-test.
pub const HEADER: u16 = 0x0c;
/// The first BAR.
pub const BARS: u16 = 0x10;
/// BARs of a function that is no bridge.
pub const BAR_COUNT: usize = 6;
/// Subsystem's vendor and device.
pub const SUBSYSTEM: u16 = 0x2c;
/// BAR of the expansion ROM.
pub const ROM: u16 = 0x30;
/// Offset of the first capability.
pub const CAPABILITIES: u16 = 0x34;
/// Interrupt line and pin.
pub const INTERRUPT: u16 = 0x3c;
/// The header ends here; capabilities may begin.
pub const HEADER_END: u16 = 0x40;
/// Extended capabilities begin here.
pub const EXTENDED: u16 = 0x100;

/// In [`HEADER`]: the device has more functions.
pub const MULTI_FUNCTION: u32 = 1 << 23;
/// In [`HEADER`]: which layout the rest has. 0 is that of a function that is no bridge.
pub const HEADER_TYPE: u32 = 0x7f << 16;

/// Bits of [`COMMAND`].
pub mod command {
    /// It answers at the addresses of its BARs of memory.
    pub const MEMORY: u32 = 1 << 1;
    /// It may write and read memory by itself.
    pub const MASTER: u32 = 1 << 2;
    /// It answers to parity errors.
    pub const PARITY: u32 = 1 << 6;
    /// It reports errors.
    pub const SERR: u32 = 1 << 8;
    /// It does not raise its pin's interrupt.
    pub const INTX_DISABLE: u32 = 1 << 10;
    /// In the status: it has capabilities.
    pub const HAS_CAPABILITIES: u32 = 1 << 20;
    /// In the status: errors, which writing a one clears.
    pub const ERRORS: u32 = 0xf900_0000;
}

/// Bits of a BAR (PCI 6.2.5.1).
pub mod bar {
    /// Of I/O rather than memory.
    pub const IO: u32 = 1 << 0;
    /// How wide its address is.
    pub const TYPE: u32 = 0b11 << 1;
    /// 32 bits.
    pub const BITS_32: u32 = 0b00 << 1;
    /// 64 bits: the next BAR is the upper half.
    pub const BITS_64: u32 = 0b10 << 1;
    /// What says how it is, not where.
    pub const FLAGS: u32 = 0xf;
}

/// Numbers of capabilities (PCI Code and ID Assignment 1.11, section 2).
pub mod capability {
    /// Power management.
    pub const POWER: u8 = 0x01;
    /// Messages.
    pub const MSI: u8 = 0x05;
    /// What the vendor defines; virtio tells by it where its registers are (VIRTIO 1.2, 4.1.4).
    pub const VENDOR: u8 = 0x09;
    /// PCI Express.
    pub const EXPRESS: u8 = 0x10;
    /// Messages, with a table in a BAR.
    pub const MSI_X: u8 = 0x11;
    /// Advanced features: a reset of conventional functions.
    pub const ADVANCED: u8 = 0x13;
    /// Enhanced allocation: BARs that nobody can move.
    pub const ENHANCED_ALLOCATION: u8 = 0x14;
}

/// PCI Express capability (PCIe 7.5.3): words from its begin, and bits there.
pub mod express {
    /// Device capabilities.
    pub const DEVICE: u16 = 4;
    /// It can reset one function.
    pub const CAN_RESET: u32 = 1 << 28;
    /// Device control, and status in the upper half.
    pub const CONTROL: u16 = 8;
    /// Resets the function.
    pub const RESET: u32 = 1 << 15;
    /// Which errors it reports, relaxed ordering, no snooping, how much it reads at once.
    pub const OWN_AFFAIR: u32 = 0x781f;
    /// In the status: errors, which writing a one clears.
    pub const ERRORS: u32 = 0x000f_0000;
}

/// MSI capability (PCI 6.8.1): bits of its first word.
pub mod msi {
    /// It sends messages.
    pub const ENABLE: u32 = 1 << 16;
    /// How many it can have, as a power of two.
    pub const CAPABLE: u32 = 0b111 << 17;
    /// How many it may use, as a power of two.
    pub const ENABLED: u32 = 0b111 << 20;
    /// Its address has 64 bits.
    pub const BITS_64: u32 = 1 << 23;
    /// Each can be masked.
    pub const MASKABLE: u32 = 1 << 24;
}

/// MSI-X capability (PCI 6.8.2): bits of its first word.
pub mod msi_x {
    /// Size of its table, less one.
    pub const SIZE: u32 = 0x7ff << 16;
    /// All are masked.
    pub const MASK: u32 = 1 << 30;
    /// It sends messages.
    pub const ENABLE: u32 = 1 << 31;
}
