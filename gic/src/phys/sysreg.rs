//! The GICv3 system registers (Arm IHI 0069H, sections 12.2 and 12.4), one module each. On a host that is not an Arm CPU they are plain
//! storage, so that the driver's logic builds and is tested there.

#[cfg(not(target_arch = "aarch64"))]
use core::sync::atomic::{AtomicU64, Ordering};

/// `read` of one register.
macro_rules! reader {
    ($name:literal) => {
        #[cfg(target_arch = "aarch64")]
        #[inline(always)]
        #[allow(unused, reason = "some are read by optional parts only")]
        pub(in crate::phys) fn read() -> u64 {
            let value: u64;
            // SAFETY: EL2 may read this register; a read has no effect but on the GIC's own state. Not `nomem`: memory accesses must
            // not move across the acknowledgement of an interrupt.
            unsafe { core::arch::asm!(concat!("mrs {}, ", $name), out(reg) value, options(nostack, preserves_flags)) };
            value
        }
    };
}

/// `write` of one register.
macro_rules! writer {
    ($name:literal) => {
        #[cfg(target_arch = "aarch64")]
        #[inline(always)]
        pub(in crate::phys) fn write(value: u64) {
            // SAFETY: EL2 may write this register, and it steers interrupts only: the memory safety of Rust code does not depend on
            // it. Not `nomem`: memory accesses must not move across the sending or ending of an interrupt.
            unsafe { core::arch::asm!(concat!("msr ", $name, ", {}"), in(reg) value, options(nostack, preserves_flags)) };
        }
    };
}

/// Storage in place of a register, on the host.
macro_rules! storage {
    () => {
        #[cfg(not(target_arch = "aarch64"))]
        static VALUE: super::AtomicU64 = super::AtomicU64::new(0);

        #[cfg(not(target_arch = "aarch64"))]
        #[allow(
            unused,
            reason = "the host form has both directions for tests, the real register may have one"
        )]
        pub(in crate::phys) fn read() -> u64 {
            VALUE.load(super::Ordering::Relaxed)
        }

        #[cfg(not(target_arch = "aarch64"))]
        #[allow(
            unused,
            reason = "the host form has both directions for tests, the real register may have one"
        )]
        pub(in crate::phys) fn write(value: u64) {
            VALUE.store(value, super::Ordering::Relaxed);
        }
    };
}

/// Declares registers: module name, assembler name, directions.
macro_rules! registers {
    ($($module:ident = $name:literal $($direction:ident)+;)+) => {
        $(pub(super) mod $module {
            $($direction!($name);)+
            storage!();
        })+
    };
}

registers! {
    mpidr = "mpidr_el1" reader;
    icc_sre = "icc_sre_el2" reader writer;
    icc_pmr = "icc_pmr_el1" writer;
    icc_bpr1 = "icc_bpr1_el1" writer;
    icc_ctlr = "icc_ctlr_el1" writer;
    icc_igrpen1 = "icc_igrpen1_el1" writer;
    icc_ap1r0 = "icc_ap1r0_el1" writer;
    icc_iar1 = "icc_iar1_el1" reader;
    icc_eoir1 = "icc_eoir1_el1" writer;
    icc_dir = "icc_dir_el1" writer;
    icc_sgi1r = "icc_sgi1r_el1" writer;
    ich_hcr = "ich_hcr_el2" reader writer;
    ich_vtr = "ich_vtr_el2" reader;
    ich_vmcr = "ich_vmcr_el2" reader writer;
    ich_eisr = "ich_eisr_el2" reader;
    ich_elrsr = "ich_elrsr_el2" reader;
}

/// Declares an array of registers with `read` and `write` by index. An index past the end reads as zero and ignores writes.
macro_rules! array {
    ($module:ident = $prefix:literal [$($index:literal)+]) => {
        pub(super) mod $module {
            #[cfg(target_arch = "aarch64")]
            #[inline(always)]
            #[allow(unused, reason = "active priorities are read where virtual CPUs take turns only")]
            pub(in crate::phys) fn read(index: usize) -> u64 {
                let value: u64;
                match index {
                    // SAFETY: EL2 may read this register, which exists as far as `ICH_VTR_EL2` says and the caller minds; a read has no effect.
                    $($index => unsafe {
                        core::arch::asm!(concat!("mrs {}, ", $prefix, $index, "_el2"), out(reg) value, options(nostack, preserves_flags))
                    },)+
                    _ => value = 0,
                }
                value
            }

            #[cfg(target_arch = "aarch64")]
            #[inline(always)]
            pub(in crate::phys) fn write(index: usize, value: u64) {
                match index {
                    // SAFETY: as in `read`; a write changes what the guest's virtual CPU interface shows, nothing of the hypervisor's.
                    $($index => unsafe {
                        core::arch::asm!(concat!("msr ", $prefix, $index, "_el2, {}"), in(reg) value, options(nostack, preserves_flags))
                    },)+
                    _ => {}
                }
            }

            #[cfg(not(target_arch = "aarch64"))]
            static VALUES: [super::AtomicU64; 16] = [const { super::AtomicU64::new(0) }; 16];

            #[cfg(not(target_arch = "aarch64"))]
            #[allow(unused, reason = "as above")]
            pub(in crate::phys) fn read(index: usize) -> u64 {
                VALUES.get(index).map_or(0, |value| value.load(super::Ordering::Relaxed))
            }

            #[cfg(not(target_arch = "aarch64"))]
            pub(in crate::phys) fn write(index: usize, value: u64) {
                if let Some(place) = VALUES.get(index) {
                    place.store(value, super::Ordering::Relaxed);
                }
            }
        }
    };
}

array!(ich_lr = "ich_lr" [0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15]);
array!(ich_ap0r = "ich_ap0r" [0 1 2 3]);
array!(ich_ap1r = "ich_ap1r" [0 1 2 3]);

/// Makes writes to the registers above take effect before what follows (context synchronization).
#[inline(always)]
pub(super) fn synchronize() {
    #[cfg(target_arch = "aarch64")]
    // SAFETY: a barrier changes no state.
    unsafe {
        core::arch::asm!("isb", options(nostack, preserves_flags));
    }
}

/// Completes memory accesses before what follows.
#[inline(always)]
pub(super) fn complete_memory() {
    #[cfg(target_arch = "aarch64")]
    // SAFETY: a barrier changes no state.
    unsafe {
        core::arch::asm!("dsb sy", options(nostack, preserves_flags));
    }
}
