//! Which optional parts of the hypervisor a system needs: the cargo features that its image is built with.

use crate::board::GicKind;
use crate::plan::Plan;

/// Features of the package `platforms`, beside `image`.
pub(crate) fn features(plan: &Plan) -> Vec<&'static str> {
    let controller = match plan.system.board.gic.kind {
        GicKind::V2 { .. } => "v2",
        GicKind::V3 { .. } => "v3",
    };
    vec![controller]
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
        assert_eq!(features("qemu-virt-gicv2"), ["v2"]);
        assert_eq!(features("qemu-virt-gicv3"), ["v3"]);
    }

    #[test]
    fn every_feature_that_a_system_may_need_is_one_of_the_image() {
        let manifest: toml::Table =
            toml::from_str(include_str!("../../../../platforms/Cargo.toml")).unwrap();
        for feature in [features("qemu-virt-gicv2"), features("qemu-virt-gicv3")].concat() {
            assert!(manifest["features"].get(feature).is_some(), "{feature}");
        }
    }
}
