//! Which optional parts of the hypervisor a system needs: the cargo features that its image is built with.

use crate::board::GicKind;
use crate::guest_gic::GuestGic;
use crate::iommus::Driven;
use crate::plan::Plan;
use crate::raw::PoolPolicy;
use model::iommu::IommuKind;

/// Features of the package `platforms`, beside `image`.
pub(crate) fn features(plan: &Plan) -> Vec<&'static str> {
    let controller = match plan.system.board.gic.kind {
        GicKind::V2 { .. } => "v2",
        GicKind::V3 { .. } => "v3",
    };
    let legacy = plan.system.partitions.iter().any(|partition| {
        matches!(
            partition.gic,
            GuestGic::V2 {
                cpu_emulated: true,
                ..
            }
        )
    });
    let pools = &plan.system.pools;
    let shares = |policy| pools.iter().any(|pool| pool.policy == policy);
    let its = plan.partitions.iter().any(|one| one.its_share.is_some());
    let mut partitions = plan.system.partitions.iter();
    let extended = partitions.any(|one| !one.extended.is_empty());
    let ipmmu = |one: &Driven| matches!(one.kind, IommuKind::Ipmmu(_));
    let drives = |kinds: &[IommuKind]| plan.iommus.iter().any(|one| kinds.contains(&one.kind));
    let parts = [
        (true, controller),
        (its, "its"),
        (extended, "espi"),
        (legacy, "legacy"),
        (shares(PoolPolicy::Rtds), "rtds"),
        (pools.iter().any(|pool| pool.global), "global"),
        (shares(PoolPolicy::Cyclic), "cyclic"),
        (
            drives(&[IommuKind::SmmuV3, IommuKind::SmmuV3OnePage]),
            "smmuv3",
        ),
        (drives(&[IommuKind::SmmuV2, IommuKind::Mmu500]), "smmuv2"),
        (plan.iommus.iter().any(ipmmu), "ipmmu"),
        (!plan.bridges.is_empty(), "pci"),
        (plan.system.is_monitored(), "monitor"),
        (
            plan.system.partitions.iter().any(|one| one.page.is_some()),
            "control",
        ),
        (plan.system.reads_consoles(), "tail"),
        (
            plan.system.partitions.iter().any(|one| one.pristine),
            "pristine",
        ),
        (plan.separate().next().is_some(), "files"),
        (
            plan.system.partitions.iter().any(|one| one.eemi.is_some()),
            "eemi",
        ),
        (
            plan.system.partitions.iter().any(|one| one.firmware_calls),
            "firmware-calls",
        ),
        (plan.system.board.psci.is_none(), "spin"),
        (!plan.system.channels.is_empty(), "channels"),
        (plan.gives_console_away(), "silent"),
        (plan.system.efi, "efi"),
        (plan.system.self_check, "self-check"),
        (plan.system.registers, "registers"),
    ];
    let needed = parts.into_iter().filter(|(needed, _)| *needed);
    // A console without a driver is refused before.
    let console = plan.system.board.console.kind.driver();
    needed.map(|(_, feature)| feature).chain(console).collect()
}

#[cfg(test)]
mod tests {
    use crate::tests::compile_text;

    /// Features of the demo on this board.
    fn features(board: &str) -> Vec<&'static str> {
        let text = include_str!("../tests/golden/demo.toml").replace("BOARD", board);
        compile_text(&text)
            .unwrap_or_else(|findings| panic!("{findings}"))
            .image_features
    }

    #[test]
    fn image_has_the_driver_of_its_boards_interrupt_controller_and_no_other() {
        assert_eq!(features("qemu-virt-gicv2"), ["v2", "pl011"]);
        assert_eq!(features("qemu-virt-gicv3"), ["v3", "pl011"]);
    }

    #[test]
    fn image_has_a_cpu_interface_in_software_where_a_partition_of_a_gicv3_board_wants_a_gicv2() {
        let text = include_str!("../tests/golden/demo.toml").replace("BOARD", "qemu-virt-gicv3");
        let text = text.replace("[[partition]]", "[[partition]]\ngic = \"v2\"");
        let features = compile_text(&text).unwrap().image_features;
        assert_eq!(features, ["v3", "legacy", "pl011"]);
    }

    #[test]
    fn image_has_the_parts_that_its_system_switches_on() {
        let text = include_str!("../tests/golden/demo.toml").replace("BOARD", "qemu-virt-gicv3");
        for (field, feature) in [
            ("efi", "efi"),
            ("self_check", "self-check"),
            ("registers", "registers"),
        ] {
            let text = format!("{text}\n[hypervisor]\n{field} = true\n");
            let features = compile_text(&text).unwrap().image_features;
            assert_eq!(features, ["v3", feature, "pl011"]);
        }
    }

    #[test]
    fn image_leaves_a_console_alone_that_a_partition_has() {
        const VIRTUAL: &str = "console = \"virtual\"";
        let text = include_str!("../tests/golden/demo.toml").replace("BOARD", "qemu-virt-gicv3");
        let text = text.replacen(VIRTUAL, "console = { device = \"serial0\" }", 1);
        let text = text.replace(VIRTUAL, "console = \"none\"");
        let features = compile_text(&text).unwrap().image_features;
        assert_eq!(features, ["v3", "silent", "pl011"]);
    }

    #[test]
    fn image_has_the_policies_of_its_pools() {
        let text = include_str!("../tests/golden/demo.toml").replace("BOARD", "qemu-virt-gicv3");
        let shared = text
            .replace("policy = \"dedicated\"", "policy = \"rtds\"")
            .replace(
                "[[partition]]",
                "[[partition]]\nperiod = \"10ms\"\nbudget = \"1ms\"",
            );
        let features = compile_text(&shared).unwrap().image_features;
        assert_eq!(features, ["v3", "rtds", "pl011"]);
    }

    #[test]
    fn image_moves_virtual_cpus_where_a_pool_is_global() {
        let text = include_str!("../tests/golden/demo.toml").replace("BOARD", "qemu-virt-gicv3");
        let shared = text
            .replace(
                "policy = \"dedicated\"",
                "policy = \"rtds\"\nplacement = \"global\"",
            )
            .replace(
                "[[partition]]",
                "[[partition]]\nperiod = \"10ms\"\nbudget = \"1ms\"",
            );
        let features = compile_text(&shared).unwrap().image_features;
        assert_eq!(features, ["v3", "rtds", "global", "pl011"]);
    }

    #[test]
    fn every_feature_that_a_system_may_need_is_one_of_the_image() {
        let manifest: toml::Table =
            toml::from_str(include_str!("../../../../platforms/Cargo.toml")).unwrap();
        let chosen = [features("qemu-virt-gicv2"), features("qemu-virt-gicv3")].concat();
        for feature in chosen.into_iter().chain([
            "espi",
            "firmware-calls",
            "smmuv3",
            "smmuv2",
            "ipmmu",
            "pci",
            "global",
            "spin",
            "channels",
            "silent",
            "efi",
            "self-check",
            "registers",
            "control",
            "tail",
        ]) {
            assert!(manifest["features"].get(feature).is_some(), "{feature}");
        }
    }
}
