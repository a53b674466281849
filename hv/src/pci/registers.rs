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
/// Of a bridge: the bus that it is on, the first and the last one behind it, and a timer.
pub const BUSES: u16 = 0x18;
/// Of a bridge: I/O ports that it passes on, and its secondary status in the upper half.
pub const IO: u16 = 0x1c;
/// Of a bridge: memory that it passes on.
pub const MEMORY: u16 = 0x20;
/// Of a bridge: memory that may be prefetched, and that is above 4 GiB if the bridge has 64 bits.
pub const PREFETCHABLE: u16 = 0x24;
/// Of a bridge: upper halves of the first and of the last address of that.
pub const PREFETCHABLE_UPPER: [u16; 2] = [0x28, 0x2c];
/// Of a bridge: upper halves of [`IO`].
pub const IO_UPPER: u16 = 0x30;
/// Subsystem's vendor and device.
pub const SUBSYSTEM: u16 = 0x2c;
/// BAR of the expansion ROM.
pub const ROM: u16 = 0x30;
/// Offset of the first capability.
pub const CAPABILITIES: u16 = 0x34;
/// Interrupt line and pin; of a bridge its control in the upper half.
pub const INTERRUPT: u16 = 0x3c;
/// The header ends here; capabilities may begin.
pub const HEADER_END: u16 = 0x40;
/// Extended capabilities begin here.
pub const EXTENDED: u16 = 0x100;

/// In [`HEADER`]: the device has more functions.
pub const MULTI_FUNCTION: u32 = 1 << 23;
/// In [`HEADER`]: which layout the rest has. 0 is that of a function that is no bridge.
pub const HEADER_TYPE: u32 = 0x7f << 16;
/// The layout of a bridge.
pub const HEADER_BRIDGE: u32 = 1 << 16;
/// In [`INTERRUPT`]: which pin, 1 for INTA to 4 for INTD; 0 for none.
pub const PIN: u32 = 0xff << 8;

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
    /// In the status: its pin's interrupt waits.
    pub const INTX_WAITS: u32 = 1 << 19;
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
    /// It may be read without effect.
    pub const PREFETCHABLE: u32 = 1 << 3;
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

/// Access control services (PCIe 7.7.8), an extended capability.
pub mod access_control {
    /// Its number.
    pub const ID: u16 = 0x000d;
    /// From its begin: what it can do, and what it does in the upper half.
    pub const SERVICES: u16 = 4;
    /// Source validation: a request from below must have a bus number from there.
    pub const VALIDATION: u16 = 1 << 0;
    /// Requests that a device claims to have translated are refused.
    pub const BLOCKING: u16 = 1 << 1;
    /// Requests to peers go up, past the IOMMU.
    pub const REQUESTS: u16 = 1 << 2;
    /// So do completions.
    pub const COMPLETIONS: u16 = 1 << 3;
    /// Requests to what is below, from there, go up first.
    pub const FORWARDING: u16 = 1 << 4;
    /// What it takes to keep apart what is below.
    pub const NEEDED: u16 = VALIDATION | REQUESTS | COMPLETIONS | FORWARDING;
}

/// PCI Express capability (PCIe 7.5.3): words from its begin, and bits there.
pub mod express {
    /// In its first word: which kind of device.
    pub const KIND: u32 = 0xf << 20;
    /// A root port.
    pub const ROOT_PORT: u32 = 4 << 20;
    /// A switch's upper port.
    pub const UPSTREAM: u32 = 5 << 20;
    /// A switch's lower port.
    pub const DOWNSTREAM: u32 = 6 << 20;
    /// In its first word: its version.
    pub const VERSION: u32 = 0xf << 16;
    /// Device control 2, from version 2 on.
    pub const CONTROL_2: u16 = 0x28;
    /// There: device numbers below are functions (ARI).
    pub const ARI: u32 = 1 << 5;
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
