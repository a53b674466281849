//! Which hardware virtualization a CPU has. The registers are given as data, so the decision is tested on any host.

/// The four registers that CPUID answers with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Leaf {
    /// EAX.
    pub eax: u32,
    /// EBX.
    pub ebx: u32,
    /// ECX.
    pub ecx: u32,
    /// EDX.
    pub edx: u32,
}

/// What a CPU says of itself. On real hardware the CPUID and RDMSR instructions; in a test, a table.
pub trait Cpu {
    /// CPUID with EAX = `leaf`, ECX = 0.
    fn cpuid(&self, leaf: u32) -> Leaf;

    /// A model-specific register. Called only for those that CPUID has shown to exist.
    fn msr(&self, index: u32) -> u64;
}

/// AMD's extension (AMD APM volume 2, chapter 15), with nested paging.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Svm {
    /// Address space identifiers, the host's 0 among them.
    pub asids: u32,
    /// Exits tell where the next instruction begins.
    pub next_rip: bool,
    /// Exits bring the bytes of the instruction.
    pub decode_assists: bool,
    /// Translations of one address space can be flushed alone.
    pub flush_by_asid: bool,
    /// The global interrupt flag is virtualized.
    pub virtual_gif: bool,
}

/// Intel's extension (Intel SDM volume 3, chapters 23 to 29), with extended page tables and unrestricted guests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vmx {
    /// Translations are tagged with the virtual CPU's identifier.
    pub vpid: bool,
}

/// The virtualization extension of a CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Virtualization {
    /// AMD's, usable.
    Svm(Svm),
    /// Intel's, usable.
    Vmx(Vmx),
}

/// Why a CPU cannot run partitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unusable {
    /// It has no virtualization extension.
    NoExtension,
    /// It has one, and firmware has switched it off and locked it.
    LockedByFirmware,
    /// It has one without nested paging.
    NoNestedPaging,
    /// It has one that runs only guests with paging on.
    NoUnrestrictedGuest,
}

const MAX_EXTENDED: u32 = 0x8000_0000;
const FEATURES: u32 = 1;
const EXTENDED_FEATURES: u32 = 0x8000_0001;
const SVM_FEATURES: u32 = 0x8000_000a;

/// Whether SVM's leaf is taken for its flag. Bochs 2.7 has one CPU with SVM and an x2APIC, the generic one, and that lacks the flag: only test images for
/// it are built so.
const BY_LEAF: bool = cfg!(feature = "bochs");

/// VM_CR (AMD APM volume 2, 15.30.1): SVMDIS, bit 4, with LOCK, bit 3.
const VM_CR: u32 = 0xc001_0114;
/// IA32_FEATURE_CONTROL: lock, bit 0, and VMX outside SMX, bit 2.
const FEATURE_CONTROL: u32 = 0x3a;
/// IA32_VMX_PROCBASED_CTLS: the upper half has a bit for each control that may be 1.
const PRIMARY_CONTROLS: u32 = 0x482;
/// IA32_VMX_PROCBASED_CTLS2, likewise.
const SECONDARY_CONTROLS: u32 = 0x48b;

/// Finds out what `cpu` can do.
///
/// # Errors
/// [`Unusable`] says what is missing.
pub fn detect(cpu: &impl Cpu) -> Result<Virtualization, Unusable> {
    let extended = cpu.cpuid(MAX_EXTENDED).eax;
    let flag = extended >= EXTENDED_FEATURES && bit(cpu.cpuid(EXTENDED_FEATURES).ecx, 2);
    if flag || BY_LEAF && extended >= SVM_FEATURES {
        return svm(cpu, extended).map(Virtualization::Svm);
    }
    if bit(cpu.cpuid(FEATURES).ecx, 5) {
        return vmx(cpu).map(Virtualization::Vmx);
    }
    Err(Unusable::NoExtension)
}

fn svm(cpu: &impl Cpu, extended: u32) -> Result<Svm, Unusable> {
    let control = cpu.msr(VM_CR) as u32;
    // SVMDIS alone can be cleared by us; with LOCK it stays.
    if bit(control, 4) && bit(control, 3) {
        return Err(Unusable::LockedByFirmware);
    }
    let leaf = if extended >= SVM_FEATURES {
        cpu.cpuid(SVM_FEATURES)
    } else {
        Leaf::default()
    };
    if !bit(leaf.edx, 0) {
        return Err(Unusable::NoNestedPaging);
    }
    Ok(Svm {
        asids: leaf.ebx,
        next_rip: bit(leaf.edx, 3),
        decode_assists: bit(leaf.edx, 7),
        flush_by_asid: bit(leaf.edx, 6),
        virtual_gif: bit(leaf.edx, 16),
    })
}

fn vmx(cpu: &impl Cpu) -> Result<Vmx, Unusable> {
    let control = cpu.msr(FEATURE_CONTROL) as u32;
    if bit(control, 0) && !bit(control, 2) {
        return Err(Unusable::LockedByFirmware);
    }
    let allowed = |msr| (cpu.msr(msr) >> 32) as u32;
    // Bit 31 of the primary controls is what makes the secondary ones exist.
    let secondary = if bit(allowed(PRIMARY_CONTROLS), 31) {
        allowed(SECONDARY_CONTROLS)
    } else {
        0
    };
    if !bit(secondary, 1) {
        return Err(Unusable::NoNestedPaging);
    }
    if !bit(secondary, 7) {
        return Err(Unusable::NoUnrestrictedGuest);
    }
    Ok(Vmx {
        vpid: bit(secondary, 5),
    })
}

const fn bit(value: u32, position: u32) -> bool {
    value >> position & 1 == 1
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// A CPU as a table. Reading a register that it does not have is the general-protection fault that it would be.
    #[derive(Default)]
    struct Table {
        leaves: BTreeMap<u32, Leaf>,
        msrs: BTreeMap<u32, u64>,
    }

    impl Cpu for Table {
        fn cpuid(&self, leaf: u32) -> Leaf {
            self.leaves.get(&leaf).copied().unwrap_or_default()
        }

        fn msr(&self, index: u32) -> u64 {
            *self.msrs.get(&index).expect("general-protection fault")
        }
    }

    /// QEMU 10 without KVM, `-cpu EPYC,+svm,+npt`: nested paging and a virtual GIF, no next RIP, no decode assists.
    fn amd() -> Table {
        let leaves = BTreeMap::from([
            (
                MAX_EXTENDED,
                Leaf {
                    eax: 0x8000_000a,
                    ..Leaf::default()
                },
            ),
            (
                EXTENDED_FEATURES,
                Leaf {
                    ecx: 1 << 2,
                    ..Leaf::default()
                },
            ),
            (
                SVM_FEATURES,
                Leaf {
                    eax: 1,
                    ebx: 16,
                    ecx: 0,
                    edx: 1 << 16 | 1,
                },
            ),
        ]);
        Table {
            leaves,
            msrs: BTreeMap::from([(VM_CR, 0)]),
        }
    }

    /// Bochs 2.7, `corei7_skylake_x`.
    fn intel() -> Table {
        let leaves = BTreeMap::from([
            (
                MAX_EXTENDED,
                Leaf {
                    eax: 0x8000_0008,
                    ..Leaf::default()
                },
            ),
            (
                FEATURES,
                Leaf {
                    ecx: 1 << 5,
                    ..Leaf::default()
                },
            ),
        ]);
        let msrs = BTreeMap::from([
            (FEATURE_CONTROL, 0b101),
            (PRIMARY_CONTROLS, 1 << 63),
            (SECONDARY_CONTROLS, (1 << 1 | 1 << 5 | 1 << 7) << 32),
        ]);
        Table { leaves, msrs }
    }

    #[test]
    fn amd_cpu_with_nested_paging_is_usable_with_the_features_that_it_names() {
        let expected = Svm {
            asids: 16,
            next_rip: false,
            decode_assists: false,
            flush_by_asid: false,
            virtual_gif: true,
        };
        assert_eq!(detect(&amd()), Ok(Virtualization::Svm(expected)));
    }

    #[test]
    fn amd_cpu_without_nested_paging_is_unusable() {
        let mut cpu = amd();
        cpu.leaves.remove(&SVM_FEATURES);
        assert_eq!(detect(&cpu), Err(Unusable::NoNestedPaging));
    }

    #[test]
    fn amd_cpu_without_the_flag_has_no_extension_whatever_its_leaf_says() {
        let mut cpu = amd();
        cpu.leaves.remove(&EXTENDED_FEATURES);
        assert_eq!(detect(&cpu), Err(Unusable::NoExtension));
    }

    #[test]
    fn amd_cpu_that_firmware_locked_is_unusable_but_an_unlocked_disable_is_not() {
        let mut cpu = amd();
        cpu.msrs.insert(VM_CR, 0b1_1000);
        assert_eq!(detect(&cpu), Err(Unusable::LockedByFirmware));
        cpu.msrs.insert(VM_CR, 0b1_0000);
        assert!(detect(&cpu).is_ok());
    }

    #[test]
    fn intel_cpu_with_extended_page_tables_is_usable() {
        let expected = Vmx { vpid: true };
        assert_eq!(detect(&intel()), Ok(Virtualization::Vmx(expected)));
    }

    #[test]
    fn intel_cpu_without_secondary_controls_has_no_nested_paging() {
        let mut cpu = intel();
        cpu.msrs.insert(PRIMARY_CONTROLS, 0);
        assert_eq!(detect(&cpu), Err(Unusable::NoNestedPaging));
    }

    #[test]
    fn intel_cpu_without_unrestricted_guests_is_unusable() {
        let mut cpu = intel();
        cpu.msrs.insert(SECONDARY_CONTROLS, (1 << 1) << 32);
        assert_eq!(detect(&cpu), Err(Unusable::NoUnrestrictedGuest));
    }

    #[test]
    fn intel_cpu_that_firmware_locked_without_vmx_is_unusable() {
        let mut cpu = intel();
        cpu.msrs.insert(FEATURE_CONTROL, 1);
        assert_eq!(detect(&cpu), Err(Unusable::LockedByFirmware));
    }

    #[test]
    fn cpu_without_extension_is_unusable_and_no_register_is_read() {
        assert_eq!(detect(&Table::default()), Err(Unusable::NoExtension));
    }
}
