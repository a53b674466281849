//! The system registers of a GICv3 (Arm IHI 0069H, sections 12.2 and 12.4).

registers! {
    icc_sre = "icc_sre_el2" reader writer;
    icc_sre_el1 = "icc_sre_el1" writer;
    icc_pmr = "icc_pmr_el1" writer;
    icc_bpr1 = "icc_bpr1_el1" writer;
    icc_ctlr = "icc_ctlr_el1" reader writer;
    icc_igrpen1 = "icc_igrpen1_el1" writer;
    icc_ap1r0 = "icc_ap1r0_el1" writer;
    icc_iar1 = "icc_iar1_el1" reader;
    icc_eoir1 = "icc_eoir1_el1" writer;
    icc_dir = "icc_dir_el1" writer;
    icc_sgi1r = "icc_sgi1r_el1" writer;
    ich_hcr = "ich_hcr_el2" shared_reader writer;
    ich_vtr = "ich_vtr_el2" reader;
    ich_vmcr = "ich_vmcr_el2" reader writer;
    ich_elrsr = "ich_elrsr_el2" reader;
}

/// Declares an array of registers with `read` and `write` by index. An index past the end reads as zero and ignores writes.
macro_rules! array {
    ($module:ident = $prefix:literal [$($index:literal)+]) => {
        pub(in crate::phys) mod $module {
            #[cfg(target_arch = "aarch64")]
            #[inline(always)]
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
            static VALUES: [core::sync::atomic::AtomicU64; 16] = [const { core::sync::atomic::AtomicU64::new(0) }; 16];

            #[cfg(not(target_arch = "aarch64"))]
            pub(in crate::phys) fn read(index: usize) -> u64 {
                VALUES.get(index).map_or(0, |value| value.load(core::sync::atomic::Ordering::Relaxed))
            }

            #[cfg(not(target_arch = "aarch64"))]
            pub(in crate::phys) fn write(index: usize, value: u64) {
                if let Some(place) = VALUES.get(index) {
                    place.store(value, core::sync::atomic::Ordering::Relaxed);
                }
            }
        }
    };
}

array!(ich_lr = "ich_lr" [0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15]);
array!(ich_ap0r = "ich_ap0r" [0 1 2 3]);
array!(ich_ap1r = "ich_ap1r" [0 1 2 3]);

/// Makes writes to system registers take effect before what follows (context synchronization).
#[inline(always)]
pub(in crate::phys) fn synchronize() {
    #[cfg(target_arch = "aarch64")]
    // SAFETY: a barrier changes no state.
    unsafe {
        core::arch::asm!("isb", options(nostack, preserves_flags));
    }
}
