//! What a guest leaves in a CPU that another guest runs on next: its system registers, its timers, its floating-point registers.
//!
//! General registers are in [`Context`](super::context::Context), the virtual CPU interface is the
//! [`gic`] crate's. A virtual CPU with a physical CPU of its own has no such thing: its registers stay where they are.

/// Declares registers that are stored and loaded together, two at a time, by the names that the assembler knows.
macro_rules! registers {
    ($(#[$attribute:meta])* $name:ident: $($first:ident $second:ident)+) => {
        $(#[$attribute])*
        #[repr(C)]
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct $name {
            $(
                #[doc = concat!("`", stringify!($first), "`.")]
                pub $first: u64,
                #[doc = concat!("`", stringify!($second), "`.")]
                pub $second: u64,
            )+
        }

        impl $name {
            /// All zero.
            pub const ZERO: Self = Self { $($first: 0, $second: 0,)+ };
        }

        #[cfg(all(target_os = "none", target_arch = "aarch64"))]
        impl $name {
            /// Reads them all.
            #[inline(always)]
            pub(super) fn read(&mut self) {
                // SAFETY: reading a register that belongs to the guest, or tells how its guest runs, has no effect; the places are the fields in
                // their order, which `repr(C)` keeps.
                unsafe {
                    core::arch::asm!(
                        $(
                            concat!("mrs {first}, ", stringify!($first)),
                            concat!("mrs {second}, ", stringify!($second)),
                            "stp {first}, {second}, [{place}], #16",
                        )+
                        place = inout(reg) core::ptr::from_mut(self) => _,
                        first = out(reg) _,
                        second = out(reg) _,
                        options(nostack, preserves_flags)
                    );
                }
            }

            /// Writes them all.
            #[inline(always)]
            pub(super) fn write(&self) {
                // SAFETY: these registers are the guest's, or tell how its guest runs; the hypervisor's own memory and control do not depend
                // on them. The places are as in `read`.
                unsafe {
                    core::arch::asm!(
                        $(
                            "ldp {first}, {second}, [{place}], #16",
                            concat!("msr ", stringify!($first), ", {first}"),
                            concat!("msr ", stringify!($second), ", {second}"),
                        )+
                        place = inout(reg) core::ptr::from_ref(self) => _,
                        first = out(reg) _,
                        second = out(reg) _,
                        options(nostack, preserves_flags)
                    );
                }
            }
        }
    };
}

registers! {
    /// Registers of EL1 that steer translation. Apart from the others, since their order matters: see `switch`.
    Translation: ttbr0_el1 ttbr1_el1 mair_el1 amair_el1 sctlr_el1 contextidr_el1
}

registers! {
    /// Registers of EL1 and EL0 whose order does not matter, and those of EL2 that say how the guest sees its CPU.
    Others: vbar_el1 cpacr_el1 tpidr_el0 tpidrro_el0 tpidr_el1 par_el1 esr_el1 far_el1 afsr0_el1 afsr1_el1 elr_el1 spsr_el1
        sp_el0 sp_el1 csselr_el1 cntkctl_el1 hcr_el2 vmpidr_el2 vpidr_el2 cntvoff_el2
}

registers! {
    /// Keys of pointer authentication, `APIAKeyLo_EL1` to `APGAKeyHi_EL1`, by their encodings, where the CPU has it.
    Keys: s3_0_c2_c1_0 s3_0_c2_c1_1 s3_0_c2_c1_2 s3_0_c2_c1_3 s3_0_c2_c2_0 s3_0_c2_c2_1 s3_0_c2_c2_2 s3_0_c2_c2_3
        s3_0_c2_c3_0 s3_0_c2_c3_1
}

/// A timer of the guest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timer {
    /// `CNTV_CTL_EL0` or `CNTP_CTL_EL0`.
    pub control: u64,
    /// `CNTV_CVAL_EL0` or `CNTP_CVAL_EL0`.
    pub at: u64,
}

impl Timer {
    /// When it fires, in ticks of the system counter; `offset` is what its own counter is behind. `None` when it is off or masked.
    pub const fn deadline(&self, offset: u64) -> Option<u64> {
        const ENABLE: u64 = 1 << 0;
        const MASKED: u64 = 1 << 1;
        if self.control & (ENABLE | MASKED) == ENABLE {
            Some(self.at.saturating_add(offset))
        } else {
            None
        }
    }
}

/// Floating-point and SIMD registers.
#[repr(C, align(16))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FloatingPoint {
    /// Q0 to Q31.
    pub q: [u128; 32],
    /// `FPCR`.
    pub control: u64,
    /// `FPSR`.
    pub status: u64,
}

/// All of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct World {
    /// `TCR_EL1`.
    pub translation_control: u64,
    /// `VTTBR_EL2`.
    pub stage2: u64,
    /// What else steers translation.
    pub translation: Translation,
    /// What is left.
    pub others: Others,
    /// Pointer authentication.
    pub keys: Keys,
    /// The virtual timer, whose counter is `CNTVOFF_EL2` behind the system counter.
    pub virtual_timer: Timer,
    /// The physical timer.
    pub physical_timer: Timer,
    /// Floating point, unless the physical CPU has it still.
    pub floating_point: FloatingPoint,
}

impl Default for World {
    fn default() -> Self {
        Self::new()
    }
}

impl World {
    /// Of a virtual CPU that never ran.
    pub const fn new() -> Self {
        const OFF: Timer = Timer { control: 0, at: 0 };
        Self {
            translation_control: 0,
            stage2: 0,
            translation: Translation::ZERO,
            others: Others::ZERO,
            keys: Keys::ZERO,
            virtual_timer: OFF,
            physical_timer: OFF,
            floating_point: FloatingPoint {
                q: [0; 32],
                control: 0,
                status: 0,
            },
        }
    }
}
