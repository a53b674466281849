//! Which devices may write memory by themselves, and what confines them.

use super::{Board, Device, Iommu, Member};
use crate::devicetree::streams::Stream;
use crate::devicetree::{NodeId, Tree};

/// What a device can do to memory by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dma {
    /// Nothing: it has no bus master, or is only read.
    None,
    /// It writes through IOMMUs that are enabled and work, and reaches what they let it reach.
    Confined,
    /// Nothing confines it, as far as the board's tree tells. A device that is not known counts here.
    Unconfined,
}

/// `compatible` of devices without a bus master, from their manuals. A `*` at one end stands for anything: the name of a chip.
const NO_BUS_MASTER: &[&str] = &[
    // Serial ports, timers, watchdogs, clocks, GPIO and the like of Arm and the servers.
    "arm,pl011",
    "arm,sbsa-uart",
    "arm,pl031",
    "arm,pl061",
    "arm,sp804",
    "arm,sp805",
    "arm,sbsa-gwdt",
    "arm,armv7-timer-mem",
    "ns16550a",
    "snps,dw-apb-uart",
    "snps,dw-apb-gpio",
    "snps,designware-i2c",
    // Xilinx Zynq and ZynqMP (UG1085).
    "cdns,uart-r1p12",
    "cdns,uart-r1p8",
    "cdns,ttc",
    "cdns,wdt-r1p2",
    "cdns,i2c-r1p14",
    "cdns,i2c-r1p10",
    "cdns,spi-r1p6",
    "xlnx,zynqmp-gpio-1.0",
    "xlnx,zynqmp-rtc",
    // Renesas R-Car and RZ/G: system DMA is a device of its own.
    "renesas,scif",
    "renesas,hscif",
    "renesas,tmu",
    "renesas,cmt0",
    "renesas,cmt1",
    "renesas,rcar-gen3-gpio",
    "renesas,rcar-gen4-gpio",
    "renesas,rcar-gen3-i2c",
    "renesas,rcar-gen4-i2c",
    "renesas,rcar-gen3-wdt",
    "renesas,rcar-gen4-wdt",
    "renesas,rcar-gen3-thermal",
    "renesas,prr",
    "renesas,pfc-*",
    "*-cpg-mssr",
    "*-rst",
    "*-sysc",
    "*-efuse",
    "*-otp",
];

fn has_no_bus_master(tree: &Tree, node: NodeId) -> bool {
    let matches = |name: &str, known: &str| match (known.strip_prefix('*'), known.strip_suffix('*'))
    {
        (Some(end), _) => name.ends_with(end),
        (None, Some(start)) => name.starts_with(start),
        (None, None) => name == known,
    };
    tree.strings(node, "compatible")
        .iter()
        .any(|name| NO_BUS_MASTER.iter().any(|known| matches(name, known)))
}

impl Board {
    /// What a device can do to memory by itself.
    pub fn dma(&self, device: &Device) -> Dma {
        // What is only read is never told to do anything.
        if device.read_only {
            return Dma::None;
        }
        if !device.streams.is_empty() {
            let confined = |stream: &Stream| self.iommu(stream.iommu).is_some_and(Iommu::confines);
            return match device.streams.iter().all(confined) {
                true => Dma::Confined,
                false => Dma::Unconfined,
            };
        }
        // Any PCI function may be a bus master.
        if device.function().is_some() {
            return Dma::Unconfined;
        }
        // What the CPU does not reach is told by its parent alone.
        let may_be_master = |member: &Member| {
            !member.registers.is_empty() && !has_no_bus_master(&self.tree, member.node)
        };
        match device.members.iter().any(may_be_master) {
            true => Dma::Unconfined,
            false => Dma::None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::board::Handover;
    use crate::testing::{Gic, board, device, virt};

    /// A device and, when it says so, an IOMMU in front of it.
    fn dma(compatible: &str, iommu: Option<&str>, handover: &Handover) -> Dma {
        let mut tree = virt(Gic::V3);
        let node = device(&mut tree, "dev@9200000", compatible, 0x920_0000, 30);
        if let Some(status) = iommu {
            let iommu = device(&mut tree, "smmu@9210000", "arm,smmu-v3", 0x921_0000, 31);
            tree.set_cells(iommu, "#iommu-cells", &[1]);
            tree.set_cells(iommu, "phandle", &[0x77]);
            tree.set_string(iommu, "status", status);
            tree.set_cells(node, "iommus", &[0x77, 5]);
        }
        let board = board(tree);
        let node = board.device_node("/dev@9200000").unwrap();
        board.dma(&board.device(node, handover).unwrap())
    }

    #[test]
    fn only_known_devices_have_no_bus_master() {
        let plain = Handover::default();
        assert_eq!(dma("arm,pl011", None, &plain), Dma::None);
        assert_eq!(dma("renesas,r8a7795-cpg-mssr", None, &plain), Dma::None);
        assert_eq!(dma("renesas,pfc-r8a7795", None, &plain), Dma::None);
        assert_eq!(dma("vendor,unknown", None, &plain), Dma::Unconfined);
    }

    #[test]
    fn iommu_confines_only_when_it_is_enabled() {
        let plain = Handover::default();
        assert_eq!(dma("vendor,eth", Some("okay"), &plain), Dma::Confined);
        assert_eq!(dma("vendor,eth", Some("disabled"), &plain), Dma::Unconfined);
    }

    #[test]
    fn device_that_is_only_read_does_nothing() {
        let read_only = Handover {
            read_only: true,
            ..Handover::default()
        };
        assert_eq!(dma("vendor,unknown", None, &read_only), Dma::None);
    }
}
