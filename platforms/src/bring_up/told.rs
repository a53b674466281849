//! The same comparisons for a self-check: all of them, each with a line.

use model::memory::PhysicalRange;
use platforms::device_tree::DeviceTree;

use super::{Found, compatible, cpus, interrupt_controller, memory};
use crate::SYSTEM;
use crate::self_check::{compare as told, differs, tree_is_compared};

pub(super) fn compare(tree: DeviceTree<'static>, found: &Found<'_>, image: PhysicalRange) {
    told(
        format_args!("the tree is of {}", SYSTEM.board.compatible),
        || compatible(found, differs),
    );
    told(
        format_args!("the tree has its GIC at {:#x}", SYSTEM.board.gic_reg),
        || interrupt_controller(found, differs),
    );
    #[cfg(feature = "its")]
    if let Some(its) = SYSTEM.board.its {
        told(
            format_args!("the tree has its ITS at {:#x}", its.get()),
            || {
                super::its::compare(found, differs);
            },
        );
    }
    told(
        format_args!(
            "the tree has {} CPUs, among them the {} that the system uses",
            found.cpus,
            SYSTEM.pcpus.len()
        ),
        || cpus(found, differs),
    );
    told(
        format_args!(
            "the tree has memory for the image, at {:#x}, and for all {} partitions",
            image.base.get(),
            SYSTEM.partitions.len()
        ),
        || memory(found, image, differs),
    );
    #[cfg(feature = "iommu")]
    told(
        format_args!("the tree has the {} IOMMUs", SYSTEM.iommus.len()),
        || crate::dma::compare(&tree, differs),
    );
    #[cfg(feature = "pci")]
    told(
        format_args!("the tree has the {} PCI host bridges", SYSTEM.bridges.len()),
        || crate::pci::compare(&tree, differs),
    );
    tree_is_compared(tree, image.base.get());
}
