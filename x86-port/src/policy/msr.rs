//! Model-specific registers. What is not in the table is a general-protection fault.

use model::x86::cpu::{CpuPolicy, Msrs};

use crate::local_apic;

/// What happens when a guest reads or writes an MSR.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// The guest reaches the register itself.
    Own,
    /// The hypervisor answers for it.
    Emulated,
    /// Reads as zero; a write is dropped.
    Nothing,
    /// A general-protection fault.
    Fault,
}

/// A run of MSRs that are treated alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The first one.
    pub first: u32,
    /// The last one.
    pub last: u32,
    /// What a read does.
    pub read: Access,
    /// What a write does.
    pub write: Access,
    /// What they are.
    pub name: &'static str,
    /// A partition's policy can deny them by this name.
    pub group: Option<Msrs>,
}

/// Says which MSRs exit, in the form that a vendor's extension has for it.
pub trait Map {
    /// In place of a map that is not filled: all zero, so that an image has no room for it.
    const BLANK: Self;

    /// All exit.
    fn close(&mut self);

    /// Lets the guest read an MSR itself, or write it, or both. False when the map does not have it.
    fn open(&mut self, index: u32, read: bool, write: bool) -> bool;
}

/// IA32_APIC_BASE.
pub const APIC_BASE: u32 = 0x1b;
/// IA32_MISC_ENABLE, which Linux reads first of all on Intel's CPUs.
pub const MISC_ENABLE: u32 = 0x1a0;
/// What it reads as: fast strings are on, and there is no branch trace and no precise event sampling.
pub const MISC_ENABLED: u64 = 1 << 0 | 1 << 11 | 1 << 12;
/// The interrupt command register of the x2APIC.
pub const ICR: u32 = 0x830;
/// The timer's entry of the x2APIC's local vector table.
pub const TIMER: u32 = 0x832;
/// The extended feature enable register.
pub const EFER: u32 = 0xc000_0080;

const fn rule(first: u32, last: u32, read: Access, write: Access, name: &'static str) -> Rule {
    Rule {
        first,
        last,
        read,
        write,
        name,
        group: None,
    }
}

/// MSRs that the guest reaches unless its policy hides what they are there with.
const fn of(group: Msrs, first: u32, last: u32, name: &'static str) -> Rule {
    Rule {
        group: Some(group),
        ..rule(first, last, Access::Own, Access::Own, name)
    }
}

/// The table, ascending.
///
/// The local APIC is the partition's own, by its x2APIC registers: counting down and ending interrupts need no exit. Two things of it could reach
/// further: the interrupt command register ([`interrupt`](super::interrupt)) names other CPUs, and the delivery modes of the local vector table include SMI and INIT.
pub const RULES: &[Rule] = {
    use Access::{Emulated, Fault, Nothing, Own};
    &[
        rule(0x10, 0x10, Own, Fault, "time stamp counter"),
        rule(APIC_BASE, APIC_BASE, Emulated, Emulated, "APIC base"),
        rule(0x8b, 0x8b, Nothing, Nothing, "microcode revision"),
        of(Msrs::SysEnter, 0x174, 0x176, "SYSENTER"),
        rule(
            MISC_ENABLE,
            MISC_ENABLE,
            Emulated,
            Nothing,
            "miscellaneous features",
        ),
        of(Msrs::Pat, 0x277, 0x277, "PAT"),
        rule(0x802, 0x803, Own, Fault, "APIC identifier, version"),
        rule(0x808, 0x808, Own, Own, "APIC task priority"),
        rule(0x80a, 0x80a, Own, Fault, "APIC processor priority"),
        rule(0x80b, 0x80b, Fault, Own, "APIC end of interrupt"),
        rule(0x80d, 0x80d, Own, Fault, "APIC logical destination"),
        rule(0x80f, 0x80f, Own, Own, "APIC spurious interrupt vector"),
        rule(
            0x810,
            0x827,
            Own,
            Fault,
            "APIC in-service, trigger mode, request",
        ),
        rule(0x828, 0x828, Own, Own, "APIC error status"),
        rule(0x82f, 0x82f, Own, Nothing, "APIC LVT: machine check"),
        rule(ICR, ICR, Nothing, Emulated, "APIC interrupt command"),
        rule(TIMER, TIMER, Own, Emulated, "APIC LVT: timer"),
        rule(
            0x833,
            0x837,
            Own,
            Nothing,
            "APIC LVT: thermal, counters, LINT0, LINT1, error",
        ),
        rule(0x838, 0x838, Own, Own, "APIC timer initial count"),
        rule(0x839, 0x839, Own, Fault, "APIC timer current count"),
        rule(0x83e, 0x83e, Own, Own, "APIC timer divide"),
        rule(0x83f, 0x83f, Fault, Own, "APIC self-IPI"),
        rule(EFER, EFER, Emulated, Emulated, "EFER"),
        rule(0xc000_0081, 0xc000_0084, Own, Own, "SYSCALL"),
        rule(0xc000_0100, 0xc000_0102, Own, Own, "FS, GS, kernel GS base"),
        of(Msrs::TscAux, 0xc000_0103, 0xc000_0103, "TSC_AUX"),
        rule(0xc001_0015, 0xc001_0015, Nothing, Nothing, "HWCR"),
        rule(0xc001_001f, 0xc001_001f, Nothing, Nothing, "NB_CFG"),
        rule(0xc001_1029, 0xc001_1029, Nothing, Nothing, "DE_CFG"),
    ]
};

/// What the table says of an access.
pub fn access(index: u32, write: bool) -> Access {
    let rule = RULES
        .iter()
        .find(|rule| rule.first <= index && index <= rule.last);
    rule.map_or(Access::Fault, |rule| match write {
        true => rule.write,
        false => rule.read,
    })
}

/// Opens what virtual CPUs with this policy reach themselves; all else exits, and what then is [`Own`](Access::Own) by the table is a fault. `shares`: they
/// share a physical CPU, so their local APIC is a [virtual one](crate::local_apic).
///
/// # Errors
/// The first MSR that the map does not have.
pub fn fill(map: &mut impl Map, policy: &CpuPolicy, shares: bool) -> Result<(), u32> {
    let local = local_apic::FIRST..=local_apic::LAST;
    map.close();
    for rule in RULES {
        let [read, write] = [rule.read, rule.write].map(|access| access == Access::Own);
        let denied = rule.group.is_some_and(|group| policy.denies(group));
        for index in rule.first..=rule.last {
            let open = (read || write) && !denied && !(shares && local.contains(&index));
            if open && !map.open(index, read, write) {
                return Err(index);
            }
        }
    }
    Ok(())
}

/// What of a write to the timer's entry takes effect: vector, mask, periodic mode. `None`: it is a general-protection fault, as reserved bits are.
/// QEMU takes a delivery mode there, which the architecture does not have (Intel SDM volume 3, 11.5.1).
pub const fn timer_entry(value: u64) -> Option<u64> {
    const ALLOWED: u64 = 0xff | 1 << 16 | 1 << 17;
    if value & !ALLOWED == 0 {
        Some(value)
    } else {
        None
    }
}

/// APIC base register of a virtual CPU: the default base, x2APIC enabled. `first`: its partition boots on it.
pub const fn apic_base(first: bool) -> u64 {
    0xfee0_0c00 | (first as u64) << 8
}

#[cfg(test)]
mod tests {
    use model::x86::cpu::feature;

    use super::*;

    #[test]
    fn table_is_ascending_and_names_everything() {
        for pair in RULES.windows(2) {
            assert!(pair[0].last < pair[1].first, "{}", pair[1].name);
        }
        assert!(
            RULES
                .iter()
                .all(|rule| rule.first <= rule.last && !rule.name.is_empty())
        );
    }

    /// The MSRs that were opened.
    struct Opened(Vec<u32>);

    impl Map for Opened {
        const BLANK: Self = Self(Vec::new());

        fn close(&mut self) {
            self.0.clear();
        }

        fn open(&mut self, index: u32, _read: bool, _write: bool) -> bool {
            self.0.push(index);
            index != 0xc000_0103
        }
    }

    #[test]
    fn what_a_policy_denies_stays_closed_and_then_is_a_fault() {
        let sysenter = [0x174u32, 0x175, 0x176];
        for (names, shares, closed) in [
            (
                &["sep", "rdtscp", "rdpid"] as &[_],
                false,
                &sysenter as &[u32],
            ),
            (&["pat", "rdtscp", "rdpid"], true, &[0x277, 0x80b, 0x838]),
        ] {
            let features = names.iter().filter_map(|name| feature(name));
            let policy = features.fold(CpuPolicy::FULL, |policy, one| policy.without(one));
            let mut map = Opened(vec![0xfe]);
            assert_eq!(fill(&mut map, &policy, shares), Ok(()));
            for index in closed.iter().chain(&[0xfe, ICR, EFER, 0xc000_0103]) {
                assert!(!map.0.contains(index), "{index:#x}");
            }
            assert_eq!(map.0.contains(&0x80b), !shares);
            assert_eq!(map.0.contains(&0x277), !closed.contains(&0x277));
        }
        // That one the map of this test does not have.
        let all = fill(&mut Opened(vec![]), &CpuPolicy::FULL, false);
        assert_eq!(all, Err(0xc000_0103));
    }

    #[test]
    fn timer_is_the_guests_own_and_the_command_register_is_not() {
        assert_eq!(access(0x838, true), Access::Own);
        assert_eq!(access(0x80b, true), Access::Own);
        assert_eq!(access(ICR, true), Access::Emulated);
        assert_eq!(access(0x837, true), Access::Nothing);
    }

    #[test]
    fn timer_entry_takes_a_vector_and_no_delivery_mode() {
        assert_eq!(timer_entry(0x2_0040), Some(0x2_0040));
        assert_eq!(timer_entry(0x1_0000), Some(0x1_0000));
        for value in [0x240, 0x540, 0x4_0040, 1 << 32] {
            assert_eq!(timer_entry(value), None, "{value:#x}");
        }
    }

    #[test]
    fn first_cpu_alone_is_the_one_that_boots() {
        assert_eq!(
            (apic_base(true), apic_base(false)),
            (0xfee0_0d00, 0xfee0_0c00)
        );
    }

    #[test]
    fn registers_of_svm_and_unknown_ones_are_faults() {
        for index in [0xc001_0114, 0xc001_0117, 0x3a, 0xfe, 0xffff_ffff] {
            assert_eq!(access(index, false), Access::Fault, "{index:#x}");
            assert_eq!(access(index, true), Access::Fault, "{index:#x}");
        }
    }
}
