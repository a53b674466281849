//! The CPU interface of a GICv3 and the registers of its hypervisor, by their encodings (Arm IHI 0069H, 12.2 and 12.4).

use core::arch::asm;

/// ICC_BPR0 and ICC_BPR1, whose reserved bits stay 0: QEMU 10.0 takes the smallest legal value of the whole register instead of its field,
/// stores the field of that, and ends with an assertion (`icv_gprio_mask`) when it is 0.
const BINARY_POINTS: [&str; 2] = ["s3_0_c12_c8_3", "s3_0_c12_c12_3"];

/// Declares [`operate`].
macro_rules! registers {
    ($($name:literal)+) => {
        /// What is operated on.
        const NAMES: &[&str] = &[$($name),+];

        /// One read or write. `choice` says which.
        ///
        /// # Safety
        /// A fault guard is active, interrupts are masked, and nothing of Rust's depends on the registers.
        pub unsafe fn operate(choice: u64, value: u64) {
            let wanted = choice as u32 as usize % NAMES.len();
            let value = if BINARY_POINTS.contains(&NAMES[wanted]) { value & 7 } else { value };
            let mut index = 0;
            $(
                if wanted == index {
                    // SAFETY: the caller's guarantee.
                    unsafe {
                        if choice >> 40 & 1 == 0 {
                            asm!(concat!("mrs {}, ", $name), out(reg) _, options(nostack));
                        } else {
                            asm!(concat!("msr ", $name, ", {}"), in(reg) value, options(nostack));
                        }
                    }
                    return;
                }
                index += 1;
            )+
            let _ = index;
        }
    };
}

registers! {
    // ICC_PMR, IAR0, EOIR0, HPPIR0, BPR0, AP0R0 to AP0R3, AP1R0 to AP1R3.
    "s3_0_c4_c6_0" "s3_0_c12_c8_0" "s3_0_c12_c8_1" "s3_0_c12_c8_2" "s3_0_c12_c8_3"
    "s3_0_c12_c8_4" "s3_0_c12_c8_5" "s3_0_c12_c8_6" "s3_0_c12_c8_7"
    "s3_0_c12_c9_0" "s3_0_c12_c9_1" "s3_0_c12_c9_2" "s3_0_c12_c9_3"
    // ICC_DIR, RPR, SGI1R, ASGI1R, SGI0R.
    "s3_0_c12_c11_1" "s3_0_c12_c11_3" "s3_0_c12_c11_5" "s3_0_c12_c11_6" "s3_0_c12_c11_7"
    // ICC_IAR1, EOIR1, HPPIR1, BPR1, CTLR, SRE, IGRPEN0, IGRPEN1.
    "s3_0_c12_c12_0" "s3_0_c12_c12_1" "s3_0_c12_c12_2" "s3_0_c12_c12_3"
    "s3_0_c12_c12_4" "s3_0_c12_c12_5" "s3_0_c12_c12_6" "s3_0_c12_c12_7"
    // ICC_SRE_EL2, ICH_HCR, VTR, MISR, EISR, ELRSR, VMCR, LR0, LR3: not for a guest.
    "s3_4_c12_c9_5" "s3_4_c12_c11_0" "s3_4_c12_c11_1" "s3_4_c12_c11_2" "s3_4_c12_c11_3"
    "s3_4_c12_c11_5" "s3_4_c12_c11_7" "s3_4_c12_c12_0" "s3_4_c12_c12_3"
}
