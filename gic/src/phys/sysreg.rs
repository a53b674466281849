//! System registers, one module each. On a host that is not an Arm CPU they are plain storage, so that the drivers' logic builds and is
//! tested there.

/// `read` of one register.
macro_rules! reader {
    ($name:literal) => {
        #[cfg(target_arch = "aarch64")]
        #[inline(always)]
        pub(in crate::phys) fn read() -> u64 {
            let value: u64;
            // SAFETY: EL2 may read this register; a read has no effect but on the GIC's own state. Not `nomem`: memory accesses must
            // not move across the acknowledgement of an interrupt.
            unsafe { core::arch::asm!(concat!("mrs {}, ", $name), out(reg) value, options(nostack, preserves_flags)) };
            value
        }
    };
}

/// `read` of a register that only pCPUs in turns need.
#[cfg(feature = "v3")]
macro_rules! shared_reader {
    ($name:literal) => {
        #[cfg(feature = "shared")]
        reader!($name);
    };
}

/// `write` of one register.
#[cfg(feature = "v3")]
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
        static VALUE: core::sync::atomic::AtomicU64 = core::sync::atomic::AtomicU64::new(0);

        #[cfg(not(target_arch = "aarch64"))]
        #[allow(
            unused,
            reason = "the host form has both directions for tests, the real register may have one"
        )]
        pub(in crate::phys) fn read() -> u64 {
            VALUE.load(core::sync::atomic::Ordering::Relaxed)
        }

        #[cfg(not(target_arch = "aarch64"))]
        #[allow(
            unused,
            reason = "the host form has both directions for tests, the real register may have one"
        )]
        pub(in crate::phys) fn write(value: u64) {
            VALUE.store(value, core::sync::atomic::Ordering::Relaxed);
        }
    };
}

/// Declares registers: module name, assembler name, directions.
macro_rules! registers {
    ($($module:ident = $name:literal $($direction:ident)+;)+) => {
        $(pub(in crate::phys) mod $module {
            $($direction!($name);)+
            storage!();
        })+
    };
}

registers! {
    mpidr = "mpidr_el1" reader;
}

#[cfg(feature = "v3")]
mod gicv3;
#[cfg(feature = "v3")]
pub(super) use gicv3::*;

/// Completes memory accesses before what follows.
#[inline(always)]
pub(super) fn complete_memory() {
    #[cfg(target_arch = "aarch64")]
    // SAFETY: a barrier changes no state.
    unsafe {
        core::arch::asm!("dsb sy", options(nostack, preserves_flags));
    }
}

/// Writes what caches hold of `[address, address + size)` to memory, and completes it: hardware that does not look into caches reads it next.
#[cfg(feature = "its")]
pub(super) fn clean(address: usize, size: usize) {
    #[cfg(target_arch = "aarch64")]
    {
        /// No line is shorter (Arm ARM D19.2.34: a word or more; all known cores have 64 bytes, and none less than 16).
        const LINE: usize = 16;
        for line in (address & !(LINE - 1)..address + size).step_by(LINE) {
            // SAFETY: cleaning by address changes no data; the caller's memory is mapped.
            unsafe {
                core::arch::asm!("dc civac, {}", in(reg) line, options(nostack, preserves_flags));
            }
        }
    }
    #[cfg(not(target_arch = "aarch64"))]
    let _ = (address, size);
    complete_memory();
}
