//! What of a guest's doings exits (AMD APM volume 2, appendix B).

/// Events and instructions of the first word that exit (AMD APM volume 2, appendix B, offset 00Ch).
pub mod first {
    /// An interrupt of a physical CPU that is shared.
    pub const INTR: u32 = 1 << 0;
    /// A non-maskable interrupt: how pCPUs call one another.
    pub const NMI: u32 = 1 << 1;
    /// INIT would reset the physical CPU.
    pub const INIT: u32 = 1 << 3;
    /// The guest takes interrupts.
    pub const VINTR: u32 = 1 << 4;
    /// CPUID.
    pub const CPUID: u32 = 1 << 18;
    /// IRET, while a non-maskable interrupt is handled: what ends that.
    pub const IRET: u32 = 1 << 20;
    /// INVD would drop what other partitions have written.
    pub const INVD: u32 = 1 << 22;
    /// HLT, where others can use the time.
    pub const HLT: u32 = 1 << 24;
    /// INVLPGA names an address space.
    pub const INVLPGA: u32 = 1 << 26;
    /// I/O ports by the permission map.
    pub const IO: u32 = 1 << 27;
    /// MSRs by the permission map.
    pub const MSR: u32 = 1 << 28;
    /// A triple fault.
    pub const SHUTDOWN: u32 = 1 << 31;

    /// All that always exit. Interrupts, HLT and the time stamp counter do not: the physical CPU is the partition's own.
    pub const ALL: u32 = NMI | INIT | CPUID | INVD | INVLPGA | IO | MSR | SHUTDOWN;

    /// All that always exit where the physical CPU is shared.
    pub const SHARED: u32 = ALL | INTR | HLT;
}

/// Instructions of the second word that exit (offset 010h): those of SVM itself.
pub mod second {
    /// VMRUN. The architecture demands it.
    pub const VMRUN: u32 = 1 << 0;
    /// VMMCALL: hypercalls.
    pub const VMMCALL: u32 = 1 << 1;
    /// VMLOAD.
    pub const VMLOAD: u32 = 1 << 2;
    /// VMSAVE.
    pub const VMSAVE: u32 = 1 << 3;
    /// STGI.
    pub const STGI: u32 = 1 << 4;
    /// CLGI would hold back the hypervisor's own NMI.
    pub const CLGI: u32 = 1 << 5;
    /// SKINIT.
    pub const SKINIT: u32 = 1 << 6;

    /// WBINVD takes milliseconds in which no interrupt comes.
    pub const WBINVD: u32 = 1 << 9;

    /// XSETBV, of a partition to which components of the extended state are denied.
    pub const XSETBV: u32 = 1 << 13;

    /// All that exit.
    pub const ALL: u32 = VMRUN | VMMCALL | VMLOAD | VMSAVE | STGI | CLGI | SKINIT;

    /// All that exit where the physical CPU is shared.
    pub const SHARED: u32 = ALL | WBINVD;
}

/// Exceptions that exit where the physical CPU is shared (offset 008h): those whose delivery can raise them again, without end.
pub mod exception {
    /// #DB and #AC.
    pub const SHARED: u32 = 1 << 1 | 1 << 17;
}
