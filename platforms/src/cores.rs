//! Cores by their identification register, as device trees call them (Linux `Documentation/devicetree/bindings/arm/cpus.yaml`).

/// Implementer and part of `MIDR_EL1` (Arm ARM D19.2.99, and the manual of each core), and `compatible`.
const CORES: [(u64, u64, &str); 19] = [
    (0x41, 0xd04, "arm,cortex-a35"),
    (0x41, 0xd03, "arm,cortex-a53"),
    (0x41, 0xd05, "arm,cortex-a55"),
    (0x41, 0xd07, "arm,cortex-a57"),
    (0x41, 0xd06, "arm,cortex-a65"),
    (0x41, 0xd08, "arm,cortex-a72"),
    (0x41, 0xd09, "arm,cortex-a73"),
    (0x41, 0xd0a, "arm,cortex-a75"),
    (0x41, 0xd0b, "arm,cortex-a76"),
    (0x41, 0xd0d, "arm,cortex-a77"),
    (0x41, 0xd41, "arm,cortex-a78"),
    (0x41, 0xd42, "arm,cortex-a78ae"),
    (0x41, 0xd47, "arm,cortex-a710"),
    (0x41, 0xd0c, "arm,neoverse-n1"),
    (0x41, 0xd49, "arm,neoverse-n2"),
    (0x41, 0xd40, "arm,neoverse-v1"),
    (0x43, 0x0a1, "cavium,thunder"),
    (0x43, 0x0af, "cavium,thunder2"),
    (0x42, 0x516, "brcm,vulcan"),
];

/// What a core with this `MIDR_EL1` is called.
pub fn name(midr: u64) -> Option<&'static str> {
    let own = (midr >> 24 & 0xff, midr >> 4 & 0xfff);
    let mut cores = CORES.iter();
    let core = cores.find(|(implementer, part, _)| (*implementer, *part) == own);
    core.map(|(_, _, name)| *name)
}

/// True for a name whose core is known by its number.
pub fn is_known(compatible: &str) -> bool {
    CORES.iter().any(|(_, _, name)| *name == compatible)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn core_is_found_by_implementer_and_part_whatever_its_revision() {
        assert_eq!(name(0x411f_d070), Some("arm,cortex-a57"));
        assert_eq!(name(0x410f_d034), Some("arm,cortex-a53"));
        assert_eq!(name(0x431f_0a10), Some("cavium,thunder"));
        assert_eq!(name(0x4200_d030), None);
    }

    #[test]
    fn names_and_numbers_are_each_there_once() {
        for (index, (implementer, part, name)) in CORES.iter().enumerate() {
            let twin = CORES[..index]
                .iter()
                .find(|(a, b, other)| (a, b) == (implementer, part) || other == name);
            assert_eq!(twin, None);
        }
        assert!(is_known("arm,cortex-a72") && !is_known("arm,armv8"));
    }
}
