//! Access to system registers by name, for those that no crate names, and for lists of them.

/// Reads a system register: `read_register!("elr_el1")`.
macro_rules! read_register {
    ($name:literal) => {{
        let value: u64;
        // SAFETY: reading a system register of EL1 or EL2 has no effect on memory; every name used is readable at EL2.
        unsafe {
            core::arch::asm!(concat!("mrs {}, ", $name), out(reg) value, options(nomem, nostack, preserves_flags));
        }
        value
    }};
}

/// Writes a system register: `write_register!("elr_el1", value)`. The caller's comment says why that is right.
macro_rules! write_register {
    ($name:literal, $value:expr) => {{
        let value: u64 = $value;
        // SAFETY: written registers are the guest's own EL1 state, or EL2 controls whose values are derived where they are written;
        // none of them changes how the hypervisor's own memory is translated.
        unsafe {
            core::arch::asm!(concat!("msr ", $name, ", {}"), in(reg) value, options(nostack, preserves_flags));
        }
    }};
}

pub(crate) use {read_register, write_register};
