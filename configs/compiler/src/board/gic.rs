//! The interrupt controller.

use model::ids::IntId;
use model::memory::PAGE;

use super::BoardError;
use super::given::V2mFrame;
use crate::devicetree::addresses::{entries, registers};
use crate::devicetree::{NodeId, Tree, interrupts::interrupts};
use crate::guest_gic::REDISTRIBUTOR_STRIDE;
use crate::range::AddressRange;

/// The CPU interface of a GICv2: 8 KiB, since GICC_DIR lies in the second page (Arm IHI 0048B, table 4-2).
pub(crate) const CPU_INTERFACE_SIZE: u64 = 0x2000;

/// The first interrupt that a virtual distributor cannot have: 960 SPIs are the last whole step of 32 below the architecture's 988.
pub(crate) const END_INTID: u32 = IntId::FIRST_SPI + 960;

/// The physical GIC.
#[derive(Debug)]
pub(crate) struct Gic {
    pub node: NodeId,
    pub kind: GicKind,
    pub maintenance: IntId,
    /// First address of its `reg`, as the tree writes it.
    pub reg: u64,
    /// All its registers, its ITSs' included: never given to a partition as they are. Those of a v2m frame go with what signals through it.
    pub registers: Vec<AddressRange>,
    /// Its enabled v2m frames and ITSs.
    pub msi: Vec<MsiController>,
}

impl Gic {
    /// Base of the ITS that partitions' messages go to.
    pub fn its(&self) -> Option<&MsiController> {
        self.msi.iter().find(|one| one.kind == MsiKind::Its)
    }
}

/// Which architecture version, and its frames.
#[derive(Debug)]
pub(crate) enum GicKind {
    V2 {
        distributor: u64,
        /// Base of 8 KiB of the CPU interface (GICC) without a repetition.
        cpu: u64,
        control: u64,
        /// The same of the virtual CPU interface (GICV).
        virtual_cpu: u64,
    },
    V3 {
        distributor: u64,
        redistributors: Vec<AddressRange>,
        /// Bytes from one redistributor to the next, where they are padded.
        stride: Option<u64>,
    },
}

/// A child of the GIC to which devices write their interrupts.
#[derive(Clone, Debug)]
pub(crate) struct MsiController {
    pub node: NodeId,
    pub kind: MsiKind,
    pub registers: AddressRange,
}

/// How it turns a write into an interrupt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MsiKind {
    /// GICv2m: a write raises an SPI, whoever writes.
    V2m {
        /// First SPI and number of SPIs as the tree gives them; `None`: the frame's own register says it.
        spis: Option<(u32, u32)>,
    },
    /// Interrupt Translation Service: the writer's DeviceID and the value name an LPI.
    Its,
}

const V2: &[&str] = &["arm,gic-400", "arm,cortex-a15-gic", "arm,cortex-a7-gic"];
const V3: &[&str] = &["arm,gic-v3"];
/// Stage 2 and the hypervisor's own map reach 48 bits.
const END: u64 = 1 << 48;
/// A redistributor region list longer than this is no board.
const MOST_REGIONS: u32 = 256;

pub(super) fn read(tree: &Tree, frames: &[V2mFrame]) -> Result<Gic, BoardError> {
    let is_gic = |node: &NodeId| {
        (tree.is_compatible(*node, V2) || tree.is_compatible(*node, V3)) && tree.is_enabled(*node)
    };
    let node = tree
        .nodes()
        .find(is_gic)
        .ok_or(BoardError::Lacks("GICv3 or GICv2 node"))?;
    let own_frames = registers(tree, node)?;
    if own_frames
        .iter()
        .any(|frame| !frame.base.is_multiple_of(PAGE) || frame.end() > END)
    {
        return Err(tree
            .error(
                node,
                "reg",
                "has a frame that is not page-aligned or lies beyond 48 bits",
            )
            .into());
    }
    let kind = if tree.is_compatible(node, V3) {
        v3(tree, node, &own_frames)?
    } else {
        v2(tree, node, &own_frames)?
    };
    let own = interrupts(tree, node, node)?;
    let maintenance = own
        .first()
        .map(|one| one.intid)
        .filter(|intid| intid.is_private());
    let mut all = own_frames;
    let mut msi = Vec::new();
    for child in tree.children(node) {
        let registers = registers(tree, *child)?;
        let controller = msi_controller(tree, *child, &registers)?;
        if !matches!(&controller, Some(one) if matches!(one.kind, MsiKind::V2m { .. })) {
            all.extend(registers);
        }
        msi.extend(controller);
    }
    for given in frames {
        let frame = tree.named(&given.node);
        let mut known = msi.iter_mut().filter(|one| Some(one.node) == frame);
        match known.next().map(|one| &mut one.kind) {
            Some(MsiKind::V2m { spis }) => *spis = Some((given.first, given.count)),
            _ => return Err(BoardError::NoFrame(given.node.clone())),
        }
    }
    let reg = entries(tree, node)?;
    Ok(Gic {
        node,
        kind,
        reg: reg.first().map_or(0, |(base, _)| *base),
        maintenance: maintenance
            .ok_or(BoardError::Lacks("maintenance interrupt at its GIC node"))?,
        registers: all,
        msi,
    })
}

/// GICD, GICC, GICH, GICV in this order (Linux, arm,gic.yaml).
fn v2(tree: &Tree, node: NodeId, frames: &[AddressRange]) -> Result<GicKind, BoardError> {
    let [distributor, cpu, control, virtual_cpu, ..] = frames else {
        return Err(BoardError::Lacks(
            "GICH and GICV registers at its GICv2 node: virtualization is off",
        ));
    };
    if cpu.size < CPU_INTERFACE_SIZE || virtual_cpu.size < CPU_INTERFACE_SIZE {
        return Err(tree
            .error(node, "reg", "has a CPU interface of less than 8 KiB")
            .into());
    }
    Ok(GicKind::V2 {
        distributor: distributor.base,
        cpu: unrepeated(cpu),
        control: control.base,
        virtual_cpu: unrepeated(virtual_cpu),
    })
}

/// Where the two pages of a CPU interface follow one another.
///
/// A GIC-400 whose address lines are shifted for pages of 64 KiB (Server Base System Architecture, appendix F) shows each of the two
/// pages 16 times; the last copy of the first one borders on the second. Such a region is 128 KiB (Linux, drivers/irqchip/irq-gic.c,
/// `gic_check_eoimode`).
fn unrepeated(interface: &AddressRange) -> u64 {
    const REPEATED: u64 = 0x2_0000;
    match interface.size {
        REPEATED if interface.base.is_multiple_of(0x1_0000) => interface.base + 0xf000,
        _ => interface.base,
    }
}

/// GICD, then `#redistributor-regions` regions of GICR (Linux, arm,gic-v3.yaml).
fn v3(tree: &Tree, node: NodeId, frames: &[AddressRange]) -> Result<GicKind, BoardError> {
    let regions = tree.cell(node, "#redistributor-regions")?.unwrap_or(1);
    if regions == 0 || regions > MOST_REGIONS {
        return Err(tree
            .error(node, "#redistributor-regions", "is not a sensible number")
            .into());
    }
    let split = frames
        .split_first()
        .and_then(|(first, rest)| Some((first, rest.get(..regions as usize)?)));
    let (distributor, redistributors) = split.ok_or(BoardError::Lacks(
        "redistributor registers at its GICv3 node",
    ))?;
    Ok(GicKind::V3 {
        distributor: distributor.base,
        redistributors: redistributors.to_vec(),
        stride: stride(tree, node, redistributors)?,
    })
}

/// `redistributor-stride`, of 64 bits: a multiple of 64 KiB (Linux, arm,gic-v3.yaml), and no less than the two frames of a redistributor
/// (Arm IHI 0069H, section 12.10).
fn stride(tree: &Tree, node: NodeId, regions: &[AddressRange]) -> Result<Option<u64>, BoardError> {
    const NAME: &str = "redistributor-stride";
    let Some(cells) = tree.cells(node, NAME)? else {
        return Ok(None);
    };
    let wrong = |what: String| Err(tree.error(node, NAME, what).into());
    let &[high, low] = cells.as_slice() else {
        return wrong(format!("has {} cells, and must have 2", cells.len()));
    };
    let stride = u64::from(high) << 32 | u64::from(low);
    if stride < REDISTRIBUTOR_STRIDE || !stride.is_multiple_of(0x1_0000) {
        return wrong(format!(
            "is {stride:#x}; it must be a multiple of 64 KiB, and at least 128 KiB"
        ));
    }
    match regions.iter().find(|region| region.size < stride) {
        Some(region) => wrong(format!(
            "is {stride:#x}, and the region at {:#x} has only {:#x} bytes",
            region.base, region.size
        )),
        None => Ok(Some(stride)),
    }
}

fn msi_controller(
    tree: &Tree,
    node: NodeId,
    registers: &[AddressRange],
) -> Result<Option<MsiController>, BoardError> {
    let kind = if tree.is_compatible(node, &["arm,gic-v2m-frame"]) {
        // Given where the frame's register is wrong (Linux, arm,gic.yaml).
        let base = tree.cell(node, "arm,msi-base-spi")?;
        let count = tree.cell(node, "arm,msi-num-spis")?;
        let spis = base.zip(count);
        let are_spis = |(base, count): (u32, u32)| {
            (IntId::FIRST_SPI..IntId::END_SPI).contains(&base) && count <= IntId::END_SPI - base
        };
        if !spis.is_none_or(are_spis) {
            return Err(tree
                .error(
                    node,
                    "arm,msi-base-spi",
                    "names interrupts that are no SPIs",
                )
                .into());
        }
        MsiKind::V2m { spis }
    } else if tree.is_compatible(node, &["arm,gic-v3-its"]) {
        MsiKind::Its
    } else {
        return Ok(None);
    };
    if !tree.is_enabled(node) {
        return Ok(None);
    }
    let registers = *registers
        .first()
        .ok_or_else(|| tree.error(node, "reg", "is missing"))?;
    Ok(Some(MsiController {
        node,
        kind,
        registers,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Gic as TestGic, board, board_errors, virt};

    #[test]
    fn cpu_interfaces_with_repeated_pages_are_taken_where_they_are_contiguous() {
        // ZynqMP and R-Car.
        let mut tree = virt(TestGic::V2);
        let gic = tree.find("/intc").unwrap();
        #[rustfmt::skip]
        tree.set_cells(gic, "reg", &[
            0, 0xf901_0000, 0, 0x1_0000,  0, 0xf902_0000, 0, 0x2_0000,
            0, 0xf904_0000, 0, 0x2_0000,  0, 0xf906_0000, 0, 0x2_0000,
        ]);
        assert!(matches!(
            board(tree).gic.kind,
            GicKind::V2 {
                cpu: 0xf902_f000,
                virtual_cpu: 0xf906_f000,
                control: 0xf904_0000,
                ..
            }
        ));
    }

    /// A GICv3 whose node has these cells as `redistributor-stride`.
    fn with_stride(cells: &[u32]) -> Tree {
        let mut tree = virt(TestGic::V3);
        let gic = tree.find("/intc").unwrap();
        tree.set_cells(gic, "redistributor-stride", cells);
        tree
    }

    #[test]
    fn stride_of_padded_redistributors_is_read() {
        let board = board(with_stride(&[0, 0x4_0000]));
        assert!(matches!(
            board.gic.kind,
            GicKind::V3 {
                stride: Some(0x4_0000),
                ..
            }
        ));
    }

    #[test]
    fn stride_that_no_redistributors_can_have_is_refused_with_what_was_found() {
        for (cells, found) in [
            (&[][..], "has 0 cells"),
            (&[0x2_0000], "has 1 cells"),
            (&[0, 0], "is 0x0"),
            (&[0, 0x1_0000], "is 0x10000"),
            (&[0, 0x2_1000], "is 0x21000"),
            (
                &[1, 0x2_0000],
                "is 0x100020000, and the region at 0x80a0000",
            ),
            (&[u32::MAX, u32::MAX], "is 0xffffffffffffffff"),
        ] {
            let errors = board_errors(&with_stride(cells));
            let start = format!("/intc@8000000: `redistributor-stride` {found}");
            assert!(errors[0].contains(&start), "{errors:?}");
        }
    }

    #[test]
    fn its_and_v2m_frames_are_listed_and_disabled_ones_are_not() {
        let mut tree = virt(TestGic::V3);
        let gic = tree.find("/intc").unwrap();
        tree.set_cells(gic, "#address-cells", &[2]);
        tree.set_cells(gic, "#size-cells", &[2]);
        tree.set(gic, "ranges", []);
        for (name, compatible, base) in [
            ("its@8080000", "arm,gic-v3-its", 0x808_0000),
            ("v2m@8020000", "arm,gic-v2m-frame", 0x802_0000),
            ("its@80a0000", "arm,gic-v3-its", 0x80a_0000),
        ] {
            let child = tree.add(gic, name);
            tree.set_string(child, "compatible", compatible);
            tree.set_cells(child, "reg", &[0, base, 0, 0x1000]);
        }
        let frame = tree.find("/intc/v2m").unwrap();
        tree.set_cells(frame, "arm,msi-base-spi", &[80]);
        tree.set_cells(frame, "arm,msi-num-spis", &[64]);
        let off = tree.find("/intc/its@80a0000").unwrap();
        tree.set_string(off, "status", "disabled");
        let board = board(tree);
        let gic = &board.gic;
        let found: Vec<_> = gic
            .msi
            .iter()
            .map(|one| (board.tree.name(one.node), one.kind, one.registers.base))
            .collect();
        let v2m = MsiKind::V2m {
            spis: Some((80, 64)),
        };
        let its = ("its@8080000", MsiKind::Its, 0x808_0000);
        assert_eq!(found, [its, ("v2m@8020000", v2m, 0x802_0000)]);
        assert_eq!(gic.registers.len(), 4);
    }
}
