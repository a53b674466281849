//! The board's IOMMUs.

use super::given::IommuLimits;
use super::{Board, BoardError};
use crate::devicetree::addresses::registers;
use crate::devicetree::interrupts::{Interrupt, Line, lines};
use crate::devicetree::streams::{IommuKind, Stream, streams};
use crate::devicetree::{NodeId, Tree, TreeError};
use crate::range::AddressRange;

/// IOMMUs for which Linux' driver says that they cannot be used correctly (`soc_denylist` of drivers/iommu/ipmmu-vmsa.c): those of M3-W and RZ/G2M. Xen's
/// driver refuses M3-W before its third cut, too, which is a chip of its own in device trees, r8a77961 (`ipmmu_stage2_supported`).
const DEFECTIVE: &[&str] = &["renesas,ipmmu-r8a7796", "renesas,ipmmu-r8a774a1"];

/// An IOMMU of the board.
#[derive(Clone, Debug)]
pub(crate) struct Iommu {
    pub node: NodeId,
    pub path: String,
    pub kind: IommuKind,
    /// False when its `status` says that it is not usable: DMA passes it as if it were not there.
    pub enabled: bool,
    /// True when its chip's is known not to work: DMA passes it as if it were not there.
    pub defective: bool,
    pub registers: Vec<AddressRange>,
    /// Those at the GIC. One that goes through another controller cannot be taken by the hypervisor, and is left out.
    pub interrupts: Vec<Interrupt>,
    /// What its interrupts are for, where the tree names them ("eventq", "gerror", …); as many as `interrupts`, or none.
    pub interrupt_names: Vec<String>,
    /// It reads translation tables through the CPUs' caches (`dma-coherent`).
    pub coherent: bool,
    /// How many of an SMMUv2's interrupts are not those of its context banks; they come first (arm,smmu.yaml, `#global-interrupts`).
    pub global_interrupts: Option<u32>,
    /// What it can hold, as far as `board.toml` says it.
    pub limits: Option<IommuLimits>,
    /// An IPMMU cache's main IPMMU, which walks the tables and raises the interrupts for it.
    pub main: Option<NodeId>,
}

/// Reads every node that takes streams.
pub(super) fn read(
    tree: &Tree,
    gic: NodeId,
    limits: &[IommuLimits],
) -> Result<Vec<Iommu>, BoardError> {
    let nodes = tree.nodes().filter(|node| tree.has(*node, "#iommu-cells"));
    let found: Result<Vec<Iommu>, TreeError> = nodes.map(|node| iommu(tree, node, gic)).collect();
    let mut found = found?;
    for one in limits {
        let node = tree.named(&one.node);
        let iommu = found.iter_mut().find(|iommu| Some(iommu.node) == node);
        let iommu = iommu.ok_or_else(|| BoardError::NoIommu(one.node.clone()))?;
        iommu.limits = Some(one.clone());
    }
    Ok(found)
}

fn iommu(tree: &Tree, node: NodeId, gic: NodeId) -> Result<Iommu, TreeError> {
    let enabled = tree.is_enabled(node);
    let mut registers = registers(tree, node);
    let mut lines = lines(tree, node, gic);
    if !enabled {
        // What nobody uses need not be right.
        registers = registers.or(Ok(Vec::new()));
        lines = lines.or(Ok(Vec::new()));
    }
    let lines = lines?;
    let at_gic = |line: &Line| match line {
        Line::Gic(interrupt) => Some(*interrupt),
        Line::Other { .. } => None,
    };
    let interrupts: Vec<Interrupt> = lines.iter().filter_map(at_gic).collect();
    let mut names = tree.strings(node, "interrupt-names");
    if names.len() != interrupts.len() {
        names.clear();
    }
    Ok(Iommu {
        node,
        path: tree.path(node),
        kind: IommuKind::of(tree, node),
        enabled,
        defective: tree.is_compatible(node, DEFECTIVE),
        registers: registers?,
        interrupt_names: names.into_iter().map(str::to_owned).collect(),
        interrupts,
        coherent: tree.has(node, "dma-coherent"),
        global_interrupts: tree.cell(node, "#global-interrupts")?,
        limits: None,
        // `<&main>` or, in older trees, `<&main bit>`.
        main: tree
            .cells(node, "renesas,ipmmu-main")?
            .and_then(|cells| tree.by_phandle(*cells.first()?)),
    })
}

impl Iommu {
    /// True when a device behind it reaches what it lets through, and nothing else.
    pub fn confines(&self) -> bool {
        self.enabled && !self.defective
    }
}

impl Board {
    /// The IOMMU at a node.
    pub fn iommu(&self, node: NodeId) -> Option<&Iommu> {
        self.iommus.iter().find(|iommu| iommu.node == node)
    }

    /// The streams of a device that an IOMMU can confine.
    ///
    /// # Errors
    /// A malformed specifier or map.
    pub fn streams(&self, node: NodeId) -> Result<Vec<Stream>, TreeError> {
        Ok(self.confined(&streams(&self.tree, node)?))
    }

    /// An IOMMU before a device that does not confine it.
    pub fn idle_iommu(&self, node: NodeId) -> Option<&Iommu> {
        let streams = streams(&self.tree, node).ok()?;
        let mut iommus = streams.iter().filter_map(|one| self.iommu(one.iommu));
        iommus.find(|iommu| !iommu.confines())
    }

    /// Those of some streams that an IOMMU can confine.
    pub fn confined(&self, streams: &[Stream]) -> Vec<Stream> {
        let behind = |stream: &&Stream| self.iommu(stream.iommu).is_some_and(Iommu::confines);
        streams.iter().filter(behind).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Gic, board, device, virt};

    /// `virt` with an SMMUv3 and a device behind it.
    fn with_smmu() -> (Tree, NodeId, NodeId) {
        let mut tree = virt(Gic::V3);
        let smmu = device(&mut tree, "smmuv3@9050000", "arm,smmu-v3", 0x905_0000, 74);
        tree.set_cells(smmu, "phandle", &[0x9100]);
        tree.set_cells(smmu, "#iommu-cells", &[1]);
        tree.set_cells(smmu, "interrupts", &[0, 74, 1, 0, 77, 1]);
        tree.set(smmu, "interrupt-names", *b"eventq\0gerror\0");
        let dma = device(&mut tree, "dma@9200000", "vendor,dma", 0x920_0000, 20);
        tree.set_cells(dma, "iommus", &[0x9100, 5]);
        (tree, smmu, dma)
    }

    #[test]
    fn smmu_comes_with_registers_and_named_interrupts() {
        let (tree, smmu, _) = with_smmu();
        let board = board(tree);
        let found = board.iommu(smmu).unwrap();
        assert_eq!((found.kind, found.enabled), (IommuKind::SmmuV3, true));
        assert_eq!(found.path, "/smmuv3@9050000");
        assert_eq!(found.registers[0].base, 0x905_0000);
        assert_eq!(found.interrupts[1].intid.get(), 109);
        assert_eq!(found.interrupt_names, ["eventq", "gerror"]);
    }

    #[test]
    fn disabled_iommu_is_listed_and_confines_nothing() {
        // ZCU102's tree has its SMMU so.
        let (mut tree, smmu, dma) = with_smmu();
        assert_eq!(board(tree.clone()).streams(dma).unwrap().len(), 1);
        tree.set_string(smmu, "status", "disabled");
        let board = board(tree);
        assert!(!board.iommu(smmu).unwrap().enabled);
        assert_eq!(board.streams(dma).unwrap(), []);
    }

    #[test]
    fn limits_go_to_the_iommu_that_they_name() {
        let (tree, smmu, _) = with_smmu();
        let limits = |node: &str| IommuLimits {
            node: node.to_owned(),
            stream_match_registers: None,
            contexts: Some(16),
            stream_bits: None,
        };
        let gic = tree.find("/intc").unwrap();
        let found = read(&tree, gic, &[limits("/smmuv3@9050000")]).unwrap();
        assert_eq!(found[0].node, smmu);
        assert_eq!(
            found[0].limits.as_ref().and_then(|one| one.contexts),
            Some(16)
        );
        let error = read(&tree, gic, &[limits("/dma@9200000")]).unwrap_err();
        assert!(error.to_string().contains("/dma@9200000"));
    }

    #[test]
    fn cache_of_an_ipmmu_names_its_main_one() {
        let (mut tree, main, _) = with_smmu();
        tree.set_string(main, "compatible", "renesas,ipmmu-r8a7795");
        let cache = device(
            &mut tree,
            "iommu@e7740000",
            "renesas,ipmmu-r8a7795",
            0xe774_0000,
            0,
        );
        tree.set_cells(cache, "#iommu-cells", &[1]);
        tree.set_cells(cache, "renesas,ipmmu-main", &[0x9100, 0]);
        let board = board(tree);
        assert_eq!(board.iommu(cache).unwrap().main, Some(main));
    }
}
