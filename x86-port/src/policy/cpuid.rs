//! CPUID: what of the physical CPU a guest sees. A leaf that is not named here reads as zero.

use model::x86::cpu::{CpuPolicy, Word};

use crate::vendor::Leaf;

/// What a virtual CPU adds to the physical one's answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Virtual<'a> {
    /// What its partition is shown less than others.
    pub policy: &'a CpuPolicy,
    /// Its x2APIC identifier, which is the physical CPU's.
    pub apic: u32,
    /// Frequency of the time stamp counter in kHz.
    pub tsc_khz: u32,
    /// Frequency of the local APIC's timer in kHz, before it is divided.
    pub apic_khz: u32,
    /// CR4.OSXSAVE of the guest.
    pub os_xsave: bool,
}

/// Highest basic leaf.
const LAST: u32 = 0xd;
/// First and highest leaf of [VMware's interface](super::vmware), which Linux looks for in this place only.
const VMWARE: u32 = 0x4000_0000;
const LAST_VMWARE: u32 = 0x4000_0010;
/// The hypervisor's own leaf: the next place of those that hypervisors agree on.
const HYPERVISOR: u32 = 0x4000_0100;
/// First and highest extended leaf.
const EXTENDED: u32 = 0x8000_0000;
const LAST_EXTENDED: u32 = 0x8000_0008;

/// The extended state.
const EXTENDED_STATE: u32 = super::xcr0::LEAF;

/// A leaf that says nothing.
const NONE: Leaf = Leaf {
    eax: 0,
    ebx: 0,
    ecx: 0,
    edx: 0,
};

/// What the hypervisor calls itself: twelve bytes in EBX, ECX, EDX.
pub const SIGNATURE: &[u8; 12] = b"BulkheadHype";
/// What the interface is called that Linux knows.
const VMWARE_SIGNATURE: &[u8; 12] = b"VMwareVMware";

/// A leaf with a name.
const fn named(last: u32, name: &[u8; 12]) -> Leaf {
    let [a, b, c, d, e, f, g, h, i, j, k, l] = *name;
    Leaf {
        eax: last,
        ebx: u32::from_le_bytes([a, b, c, d]),
        ecx: u32::from_le_bytes([e, f, g, h]),
        edx: u32::from_le_bytes([i, j, k, l]),
    }
}

/// Bits by their positions.
const fn bits<const N: usize>(positions: [u32; N]) -> u32 {
    let mut all = 0;
    let mut i = 0;
    while i < N {
        #[allow(clippy::indexing_slicing, reason = "bounded by the loop")]
        let position = positions[i];
        all |= 1 << position;
        i += 1;
    }
    all
}

/// Leaf 1, ECX: 64-bit debug store, MONITOR, VMX, SMX, SpeedStep, TM2, perfmon, DCA, TSC deadline, OSXSAVE.
const HIDDEN_1_ECX: u32 = bits([2, 3, 5, 6, 7, 8, 15, 18, 24, 27]);
/// Leaf 1, EDX: machine check (exception and architecture), MTRR, PSN, debug store, thermal, hyper-threading, thermal monitor, PBE.
const HIDDEN_1_EDX: u32 = bits([7, 12, 14, 18, 21, 22, 28, 29, 31]);
/// Leaf 7, EBX: TSC adjustment, SGX, cache monitoring, MPX, cache allocation, processor trace.
const HIDDEN_7_EBX: u32 = bits([1, 2, 12, 14, 15, 25]);
/// Leaf 7, ECX: WAITPKG, shadow stacks, total memory encryption, 57-bit addresses, key locker, bus lock detection, ENQCMD, SGX, supervisor
/// protection keys.
const HIDDEN_7_ECX: u32 = bits([5, 7, 13, 16, 23, 24, 29, 30, 31]);
/// Leaf 7, EDX: fast short REP MOV is all that is shown: the others come with MSRs that the policy denies.
const SHOWN_7_EDX: u32 = bits([4]);
/// Extended leaf 1, ECX: SVM, extended APIC space, instruction sampling, OS workarounds, SKINIT, watchdog, light-weight profiling,
/// topology, performance counters, MWAITX.
const HIDDEN_EXTENDED_ECX: u32 = bits([2, 3, 10, 9, 12, 13, 15, 22, 23, 24, 26, 27, 28, 29]);
/// Extended leaf 1, EDX: the same as leaf 1 has, where AMD repeats it.
const HIDDEN_EXTENDED_EDX: u32 = bits([7, 12, 14]);
/// Of what a policy can hide of leaf 1, EDX, what AMD repeats there: the page attribute table.
const REPEATED_EDX: u32 = bits([16]);

/// Leaf `leaf`, subleaf `subleaf`, as the guest sees it; `host` is what the physical CPU answers.
#[inline(always)]
pub fn guest(leaf: u32, subleaf: u32, host: Leaf, own: &Virtual<'_>) -> Leaf {
    let hidden = |word| own.policy.word(word);
    match leaf {
        0 => Leaf {
            eax: host.eax.min(LAST),
            ..host
        },
        1 => Leaf {
            eax: host.eax,
            // One logical CPU; the line that CLFLUSH flushes is the physical CPU's.
            ebx: host.ebx & 0xff00 | 1 << 16 | own.apic << 24,
            // A hypervisor is present, and so is the x2APIC.
            ecx: host.ecx & !HIDDEN_1_ECX & !hidden(Word::Leaf1Ecx)
                | bits([21, 31])
                | ((own.os_xsave && has_xsave(own)) as u32) << 27,
            edx: host.edx & !HIDDEN_1_EDX & !hidden(Word::Leaf1Edx),
        },
        // Caches and their sharing: one CPU.
        4 => Leaf {
            eax: host.eax & 0x3ff,
            ..host
        },
        // The APIC timer runs in every idle state.
        6 => Leaf {
            eax: bits([2]),
            ..NONE
        },
        7 if subleaf == 0 => Leaf {
            eax: 0,
            ebx: host.ebx & !HIDDEN_7_EBX & !hidden(Word::Leaf7Ebx),
            ecx: host.ecx & !HIDDEN_7_ECX & !hidden(Word::Leaf7Ecx),
            edx: host.edx & SHOWN_7_EDX,
        },
        // Topology: a thread level and a core level with one CPU in each.
        0xb => Leaf {
            eax: 0,
            ebx: (subleaf < 2) as u32,
            ecx: subleaf & 0xff
                | match subleaf {
                    0 => 1 << 8,
                    1 => 2 << 8,
                    _ => 0,
                },
            edx: own.apic,
        },
        EXTENDED_STATE => extended_state(subleaf, host, own),
        VMWARE => named(LAST_VMWARE, VMWARE_SIGNATURE),
        HYPERVISOR => named(HYPERVISOR, SIGNATURE),
        // The frequencies, in the leaf that hypervisors agree on.
        LAST_VMWARE => Leaf {
            eax: own.tsc_khz,
            ebx: own.apic_khz,
            ..NONE
        },
        EXTENDED => Leaf {
            eax: host.eax.min(LAST_EXTENDED),
            ..host
        },
        0x8000_0001 => Leaf {
            eax: host.eax,
            ebx: 0,
            ecx: host.ecx & !HIDDEN_EXTENDED_ECX & !hidden(Word::ExtendedEcx),
            edx: host.edx
                & !HIDDEN_EXTENDED_EDX
                & !hidden(Word::ExtendedEdx)
                & !(hidden(Word::Leaf1Edx) & REPEATED_EDX),
        },
        // The name of the CPU, and its caches.
        0x8000_0002..=0x8000_0006 => host,
        // The time stamp counter never changes its rate.
        0x8000_0007 => Leaf {
            edx: bits([8]),
            ..NONE
        },
        // Widths of addresses.
        LAST_EXTENDED => Leaf {
            eax: host.eax & 0xffff,
            ..NONE
        },
        _ => NONE,
    }
}

const fn has_xsave(own: &Virtual<'_>) -> bool {
    own.policy.word(Word::Leaf1Ecx) >> 26 & 1 == 0
}

/// The extended state: its components, and where they are in the area that XSAVE writes. That stays as large as the physical CPU says; what is denied
/// leaves a gap.
const fn extended_state(subleaf: u32, host: Leaf, own: &Virtual<'_>) -> Leaf {
    let denied = own.policy.denied_state;
    match subleaf {
        _ if !has_xsave(own) => NONE,
        0 => Leaf {
            eax: host.eax & !(denied as u32),
            edx: host.edx & !((denied >> 32) as u32),
            ..host
        },
        // Supervisor states (XSAVES, bit 3) come with an MSR that the policy denies.
        1 => Leaf {
            eax: host.eax & 0b0111,
            ebx: host.ebx,
            ..NONE
        },
        2..64 if denied >> subleaf & 1 != 0 => NONE,
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use model::x86::cpu::{FEATURES, feature};

    use super::*;

    const OWN: Virtual<'_> = Virtual {
        policy: &CpuPolicy::FULL,
        apic: 3,
        tsc_khz: 1_000_000,
        apic_khz: 1_000_000,
        os_xsave: false,
    };
    const ALL: Leaf = Leaf {
        eax: u32::MAX,
        ebx: u32::MAX,
        ecx: u32::MAX,
        edx: u32::MAX,
    };

    fn seen(leaf: u32, subleaf: u32) -> Leaf {
        guest(leaf, subleaf, ALL, &OWN)
    }

    #[test]
    fn virtualization_of_either_vendor_is_hidden() {
        assert_eq!(seen(1, 0).ecx & 1 << 5, 0);
        assert_eq!(seen(0x8000_0001, 0).ecx & 1 << 2, 0);
        assert_eq!(seen(0x8000_000a, 0), Leaf::default());
    }

    #[test]
    fn machine_check_and_mtrr_are_hidden_apic_and_hypervisor_are_shown() {
        let leaf = seen(1, 0);
        assert_eq!(leaf.edx & bits([7, 12, 14]), 0);
        assert_eq!(leaf.edx & bits([9]), bits([9]));
        assert_eq!(leaf.ecx & bits([21, 31]), bits([21, 31]));
        assert_eq!(leaf.ebx >> 24, 3);
    }

    #[test]
    fn os_xsave_follows_the_guests_register() {
        let on = Virtual {
            os_xsave: true,
            ..OWN
        };
        assert_eq!(seen(1, 0).ecx & 1 << 27, 0);
        assert_ne!(guest(1, 0, ALL, &on).ecx & 1 << 27, 0);
    }

    #[test]
    fn every_virtual_cpu_is_alone_in_its_topology() {
        let [thread, core, end] = [0, 1, 2].map(|subleaf| seen(0xb, subleaf));
        assert_eq!((thread.ebx, thread.ecx, thread.edx), (1, 0x100, 3));
        assert_eq!((core.ebx, core.ecx), (1, 0x201));
        assert_eq!((end.ebx, end.ecx), (0, 2));
        assert_eq!(seen(4, 0).eax >> 14, 0);
    }

    #[test]
    fn hypervisor_leaves_have_signature_and_frequencies() {
        let leaf = seen(0x4000_0100, 0);
        let mut name = leaf.ebx.to_le_bytes().to_vec();
        name.extend(leaf.ecx.to_le_bytes());
        name.extend(leaf.edx.to_le_bytes());
        assert_eq!(name, SIGNATURE);
        assert_eq!(leaf.eax, 0x4000_0100);
        assert_eq!(seen(0x4000_0000, 0).eax, 0x4000_0010);
        let leaf = seen(0x4000_0010, 0);
        assert_eq!((leaf.eax, leaf.ebx), (1_000_000, 1_000_000));
    }

    /// What a partition with this policy sees of a CPU that has everything.
    fn seen_by(policy: &CpuPolicy, leaf: u32, subleaf: u32) -> Leaf {
        let own = Virtual {
            policy,
            os_xsave: true,
            ..OWN
        };
        guest(leaf, subleaf, ALL, &own)
    }

    #[test]
    fn each_feature_is_shown_unless_it_is_hidden() {
        for feature in &FEATURES {
            let bit = |policy| {
                let word = match feature.word {
                    Word::Leaf1Ecx => seen_by(policy, 1, 0).ecx,
                    Word::Leaf1Edx => seen_by(policy, 1, 0).edx,
                    Word::Leaf7Ebx => seen_by(policy, 7, 0).ebx,
                    Word::Leaf7Ecx => seen_by(policy, 7, 0).ecx,
                    Word::ExtendedEcx => seen_by(policy, 0x8000_0001, 0).ecx,
                    Word::ExtendedEdx => seen_by(policy, 0x8000_0001, 0).edx,
                };
                word >> feature.bit & 1
            };
            let bits = [&CpuPolicy::FULL, &CpuPolicy::FULL.without(feature)].map(bit);
            assert_eq!(bits, [1, 0], "{}", feature.name);
        }
    }

    #[test]
    fn page_attribute_table_is_hidden_in_both_places() {
        let no_pat = CpuPolicy::FULL.without(feature("pat").expect("a feature"));
        let words = |policy| [1, 0x8000_0001].map(|leaf| seen_by(policy, leaf, 0).edx >> 16 & 1);
        assert_eq!((words(&CpuPolicy::FULL), words(&no_pat)), ([1; 2], [0; 2]));
    }

    #[test]
    fn denied_components_are_not_listed_and_have_no_place() {
        let no_avx = CpuPolicy::FULL.without(feature("avx").expect("a feature"));
        let components = seen_by(&no_avx, 0xd, 0);
        assert_eq!(components.eax, !0b1110_0100);
        assert_eq!((components.ecx, components.edx), (u32::MAX, u32::MAX));
        assert_eq!(seen_by(&no_avx, 0xd, 2), Leaf::default());
        assert_eq!(seen_by(&no_avx, 0xd, 9), ALL);
        assert_ne!(seen_by(&no_avx, 1, 0).ecx & bits([26, 27]), 0);
    }

    #[test]
    fn without_xsave_there_is_no_extended_state() {
        for subleaf in 0..4 {
            let leaf = seen_by(&CpuPolicy::BASELINE, 0xd, subleaf);
            assert_eq!(leaf, Leaf::default());
        }
        let basic = seen_by(&CpuPolicy::BASELINE, 1, 0).ecx;
        assert_eq!(basic & bits([26, 27]), 0);
    }

    #[test]
    fn leaves_that_are_not_named_are_zero() {
        for leaf in [2, 3, 5, 0xa, 0xe, 0x14, 0x4000_0001, 0x8000_0009, u32::MAX] {
            assert_eq!(seen(leaf, 0), Leaf::default(), "{leaf:#x}");
        }
    }

    #[test]
    fn counters_of_leaves_are_cut_to_what_is_named() {
        assert_eq!(seen(0, 0).eax, 0xd);
        assert_eq!(seen(0x8000_0000, 0).eax, 0x8000_0008);
    }
}
