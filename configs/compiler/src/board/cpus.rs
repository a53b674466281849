//! CPUs and how they are started.

use model::ids::Mpidr;

use super::BoardError;
use crate::devicetree::{NodeId, Tree, addresses::unit};
use crate::range::AddressRange;

/// A CPU of the board.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cpu {
    pub node: NodeId,
    pub mpidr: Mpidr,
    /// Width of its physical addresses in bits; `None` for a type that Bulkhead does not know.
    pub pa_bits: Option<u8>,
    /// Where it waits for the address of its first instruction, when a spin table starts it and not PSCI.
    pub release: Option<u64>,
}

/// CPU indices must fit `PcpuId`.
const MOST_CPUS: usize = u8::MAX as usize;

/// Widths of physical addresses (ID_AA64MMFR0_EL1.PARange in the technical reference manuals).
const PA_BITS: &[(u8, &[&str])] = &[
    (
        40,
        &[
            "arm,cortex-a35",
            "arm,cortex-a53",
            "arm,cortex-a55",
            "arm,cortex-a73",
            "arm,cortex-a76",
            "arm,cortex-a77",
            "arm,cortex-a78",
            "arm,cortex-x1",
            "arm,cortex-a510",
            "arm,cortex-a710",
        ],
    ),
    (44, &["arm,cortex-a57", "arm,cortex-a72", "arm,cortex-a75"]),
    (
        48,
        &[
            "arm,neoverse-n1",
            "arm,neoverse-v1",
            "arm,neoverse-n2",
            "cavium,thunder",
        ],
    ),
];

fn pa_bits(tree: &Tree, node: NodeId) -> Option<u8> {
    let is = |(_, names): &&(u8, &[&str])| tree.is_compatible(node, names);
    PA_BITS.iter().find(is).map(|(bits, _)| *bits)
}

/// The enabled CPUs in the order of their nodes.
pub(super) fn read(tree: &Tree) -> Result<Vec<Cpu>, BoardError> {
    let parent = tree
        .find("/cpus")
        .ok_or(BoardError::Lacks("`/cpus` node"))?;
    let is_cpu =
        |node: &NodeId| tree.string(*node, "device_type") == Some("cpu") && tree.is_enabled(*node);
    let mut cpus: Vec<Cpu> = Vec::new();
    for node in tree.children(parent).iter().copied().filter(is_cpu) {
        if cpus.len() == MOST_CPUS {
            let what = format!("and its siblings are more than {MOST_CPUS} CPUs");
            return Err(tree.error(node, "reg", what).into());
        }
        let mpidr = Mpidr::new(unit(tree, node)?);
        if mpidr != Mpidr::from_register(mpidr.get()) {
            return Err(tree
                .error(node, "reg", "has bits that no MPIDR affinity has")
                .into());
        }
        if cpus.iter().any(|other| other.mpidr == mpidr) {
            return Err(tree
                .error(node, "reg", "is that of another CPU, too")
                .into());
        }
        let release = match tree.string(node, "enable-method") {
            None | Some("psci") => None,
            Some("spin-table") => Some(release(tree, node)?),
            Some(method) => {
                let what = format!(
                    "is \"{method}\": only CPUs that PSCI or a spin table starts can be used"
                );
                return Err(tree.error(node, "enable-method", what).into());
            }
        };
        cpus.push(Cpu {
            node,
            mpidr,
            pa_bits: pa_bits(tree, node),
            release,
        });
    }
    if cpus.is_empty() {
        return Err(BoardError::Lacks("enabled CPU"));
    }
    Ok(cpus)
}

/// `cpu-release-addr`, 64 bits even where addresses have fewer (Devicetree Specification 0.4, section 3.8.1).
fn release(tree: &Tree, node: NodeId) -> Result<u64, BoardError> {
    const NAME: &str = "cpu-release-addr";
    let cells = tree.cells(node, NAME)?;
    let address = match cells.as_deref() {
        Some(&[high, low]) => u64::from(high) << 32 | u64::from(low),
        Some(&[low]) => u64::from(low),
        _ => return Err(tree.error(node, NAME, "is no address").into()),
    };
    if !address.is_multiple_of(8) || address >> 48 != 0 {
        return Err(tree
            .error(node, NAME, "is no multiple of 8 below 48 bits")
            .into());
    }
    Ok(address)
}

/// Checks that every CPU can address all memory.
pub(super) fn check_reach(
    tree: &Tree,
    cpus: &[Cpu],
    banks: &[AddressRange],
) -> Result<(), BoardError> {
    for cpu in cpus {
        let Some(bits) = cpu.pa_bits else { continue };
        if let Some(bank) = banks.iter().find(|bank| bank.end() > 1 << bits) {
            return Err(BoardError::Beyond {
                cpu: tree.path(cpu.node),
                bits,
                bank: *bank,
            });
        }
    }
    Ok(())
}

/// The PSCI node; none where all CPUs wait at a spin table, or there is but one, which firmware starts. Only the SMC conduit leaves EL2.
pub(super) fn psci(tree: &Tree, cpus: &[Cpu]) -> Result<Option<NodeId>, BoardError> {
    // PSCI 0.1 ("arm,psci" alone) has no version call and numbers its calls as it likes.
    const VERSIONS: [&str; 2] = ["arm,psci-1.0", "arm,psci-0.2"];
    if let Some(spinning) = cpus.iter().find(|cpu| cpu.release.is_some()) {
        if cpus.iter().all(|cpu| cpu.release.is_some()) {
            return Ok(None);
        }
        let what =
            "is \"spin-table\" here and \"psci\" elsewhere: all CPUs must be started in one way";
        return Err(tree.error(spinning.node, "enable-method", what).into());
    }
    let node = tree
        .nodes()
        .find(|node| tree.is_compatible(*node, &VERSIONS) && tree.is_enabled(*node));
    let node = match node {
        Some(node) => node,
        None if cpus.len() == 1 => return Ok(None),
        None => return Err(BoardError::Lacks("node of PSCI 0.2 or later")),
    };
    match tree.string(node, "method") {
        Some("smc") => Ok(Some(node)),
        _ => Err(BoardError::Lacks(
            "PSCI with method \"smc\": the firmware below EL2 is called by SMC",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Gic, board, virt};

    #[test]
    fn type_of_a_cpu_tells_its_address_width() {
        let mut tree = virt(Gic::V3);
        let cpu = tree.find("/cpus/cpu@1").unwrap();
        tree.set_string(cpu, "compatible", "arm,cortex-a53");
        let cpu = tree.find("/cpus/cpu@2").unwrap();
        tree.set_string(cpu, "compatible", "arm,armv8");
        let cpus = board(tree).cpus;
        let bits: Vec<_> = cpus.iter().take(3).map(|cpu| cpu.pa_bits).collect();
        assert_eq!(bits, [Some(44), Some(40), None]);
    }

    #[test]
    fn memory_beyond_the_reach_of_a_cpu_is_an_error() {
        let tree = virt(Gic::V3);
        let cpus = read(&tree).unwrap();
        let high = AddressRange::new((1 << 44) - 0x1000, 0x2000).unwrap();
        let error = check_reach(&tree, &cpus, &[high]).unwrap_err().to_string();
        assert!(error.starts_with("/cpus/cpu@0 has 44 bits"), "{error}");
    }

    #[test]
    fn two_cell_numbers_and_maps_of_clusters_are_read() {
        let mut tree = virt(Gic::V3);
        let cpus = tree.find("/cpus").unwrap();
        tree.set_cells(cpus, "#address-cells", &[2]);
        for number in 0..8 {
            let cpu = tree.find(&format!("/cpus/cpu@{number}")).unwrap();
            tree.set_cells(cpu, "reg", &[number / 4, number % 4]);
        }
        let map = tree.add(cpus, "cpu-map");
        tree.add(map, "cluster0");
        let board = board(tree);
        assert_eq!(board.cpus[5].mpidr.get(), 0x1_0000_0001);
    }

    #[test]
    fn cpu_that_psci_does_not_start_is_an_error() {
        let mut tree = virt(Gic::V3);
        let cpu = tree.find("/cpus/cpu@1").unwrap();
        tree.set_string(cpu, "enable-method", "brcm,bcm2836-smp");
        let error = read(&tree).unwrap_err().to_string();
        assert!(
            error.contains("/cpus/cpu@1: `enable-method` is \"brcm,bcm2836-smp\""),
            "{error}"
        );
    }

    /// A board without PSCI, whose CPUs wait at these addresses.
    fn spinning(at: &[u32]) -> Tree {
        let mut tree = virt(Gic::V3);
        for number in 0..8 {
            let cpu = tree.find(&format!("/cpus/cpu@{number}")).unwrap();
            tree.set_string(cpu, "enable-method", "spin-table");
            tree.set_cells(cpu, "cpu-release-addr", at);
        }
        let psci = tree.find("/psci").unwrap();
        tree.set_string(psci, "status", "disabled");
        tree
    }

    #[test]
    fn cpus_at_a_spin_table_need_no_psci() {
        let board = board(spinning(&[1, 0xd8]));
        assert_eq!(board.cpus[3].release, Some(0x1_0000_00d8));
        assert_eq!(board.psci, None);
    }

    /// Nobody needs to start the one CPU that there is.
    #[test]
    fn lone_cpu_needs_no_psci_and_others_do() {
        let mut tree = virt(Gic::V3);
        let node = tree.find("/psci").unwrap();
        tree.set_string(node, "status", "disabled");
        let cpus = read(&tree).unwrap();
        assert_eq!(psci(&tree, &cpus[..1]).unwrap(), None);
        assert!(psci(&tree, &cpus[..2]).is_err());
    }

    #[test]
    fn cpus_that_are_started_in_two_ways_are_refused() {
        let mut tree = spinning(&[0, 0xd8]);
        let cpu = tree.find("/cpus/cpu@1").unwrap();
        tree.set_string(cpu, "enable-method", "psci");
        let cpus = read(&tree).unwrap();
        let error = psci(&tree, &cpus).unwrap_err().to_string();
        assert!(error.contains("in one way"), "{error}");
    }

    #[test]
    fn release_address_that_no_cpu_can_wait_at_is_refused() {
        for at in [&[][..], &[0, 0xd9], &[0x1_0000, 0], &[0, 0, 0]] {
            let error = read(&spinning(at)).unwrap_err().to_string();
            assert!(
                error.contains("`cpu-release-addr` is no"),
                "{at:?}: {error}"
            );
        }
    }

    #[test]
    fn cpu_256_is_one_too_many() {
        let mut tree = Tree::new();
        let cpus = tree.add(Tree::ROOT, "cpus");
        tree.set_cells(cpus, "#address-cells", &[1]);
        tree.set_cells(cpus, "#size-cells", &[0]);
        for number in 0..256 {
            let cpu = tree.add(cpus, format!("cpu@{number:x}"));
            tree.set_string(cpu, "device_type", "cpu");
            tree.set_cells(cpu, "reg", &[number]);
        }
        assert!(
            read(&tree)
                .unwrap_err()
                .to_string()
                .contains("more than 255")
        );
    }

    #[test]
    fn psci_of_version_0_1_is_refused() {
        let mut tree = virt(Gic::V3);
        let node = tree.find("/psci").unwrap();
        tree.set_string(node, "compatible", "arm,psci");
        let cpus = read(&tree).unwrap();
        assert!(psci(&tree, &cpus).unwrap_err().to_string().contains("0.2"));
    }
}
