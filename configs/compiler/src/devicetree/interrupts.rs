//! Which interrupts a node raises (Devicetree Specification 0.4, section 2.4; Linux, arm,gic.yaml and arm,gic-v3.yaml).

use model::device::Trigger;
use model::ids::IntId;

use super::nexus;
use super::specifiers::{provider, specifiers};
use super::{NodeId, Tree, TreeError};

/// An interrupt of the GIC and how its line signals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Interrupt {
    pub intid: IntId,
    pub trigger: Trigger,
    /// The first three cells of the specifier, from which a guest tree is written.
    pub cells: [u32; 3],
    /// The CPUs that have this PPI, where it is not the same device on all of them (GICv3, fourth cell).
    pub partition: Option<NodeId>,
    /// False when the binding does not define the specifier. The number is then the one that Linux computes, which adds 16 to any
    /// number of a PPI; ThunderX's console is written so.
    pub defined: bool,
}

/// Where one interrupt of a node goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// To the GIC, directly or through nexus nodes.
    Gic(Interrupt),
    /// To another controller, a GPIO block for example. The node works only together with it.
    Other {
        controller: NodeId,
        /// The specifier as that controller reads it.
        cells: Vec<u32>,
    },
}

/// An entry of a nexus node's `interrupt-map`, followed to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mapped {
    /// Unit address and specifier of the child's side.
    pub child: Vec<u32>,
    pub line: Line,
}

/// No device has more interrupts; a list that says so is an attack on whoever follows each of them.
const MOST_LINES: usize = 1024;

/// All interrupts of a node in the order in which it lists them, from `interrupts-extended` or else `interrupts`.
///
/// # Errors
/// A malformed specifier or map, or a controller that does not exist.
pub(crate) fn lines(tree: &Tree, node: NodeId, gic: NodeId) -> Result<Vec<Line>, TreeError> {
    let (name, raised) = raised(tree, node)?;
    if raised.len() > MOST_LINES {
        return Err(tree.error(node, name, format!("has more than {MOST_LINES} interrupts")));
    }
    raised
        .into_iter()
        .map(|(controller, specifier)| {
            let (end, cells) = nexus::follow(tree, node, controller, specifier, gic)?;
            line(tree, node, name, gic, end, cells)
        })
        .collect()
}

/// A node's interrupts at the controller `gic`.
///
/// # Errors
/// A malformed specifier, or an interrupt that goes to another controller.
pub(crate) fn interrupts(
    tree: &Tree,
    node: NodeId,
    gic: NodeId,
) -> Result<Vec<Interrupt>, TreeError> {
    let at_gic = |line| match line {
        Line::Gic(interrupt) => Ok(interrupt),
        Line::Other { controller, .. } => Err(tree.error(
            node,
            "interrupts",
            format!(
                "go to a controller that is not the GIC: {}",
                tree.path(controller)
            ),
        )),
    };
    lines(tree, node, gic)?.into_iter().map(at_gic).collect()
}

/// Every interrupt that can pass through a node: the legacy interrupts of a PCI host for example. None when it is no nexus.
///
/// # Errors
/// A malformed map.
pub(crate) fn mapped(tree: &Tree, node: NodeId, gic: NodeId) -> Result<Vec<Mapped>, TreeError> {
    const NAME: &str = "interrupt-map";
    let entry = |entry: nexus::Entry| {
        let (end, cells) = nexus::follow_from(
            tree,
            node,
            entry.parent,
            entry.address,
            entry.specifier,
            gic,
        )?;
        Ok(Mapped {
            child: entry.child,
            line: line(tree, node, NAME, gic, end, cells)?,
        })
    };
    if !nexus::is_nexus(tree, node) {
        return Ok(Vec::new());
    }
    nexus::entries(tree, node)?.into_iter().map(entry).collect()
}

/// Where the pin (0 for INTA to 3 for INTD) of a function of a PCI host's first bus ends, by the requester number of the function (PCI Bus Binding to
/// IEEE 1275, and Recommended Practice: Interrupt Mapping 0.9, section 2.1).
///
/// # Errors
/// A host without a map, a malformed one, or one without an entry for the pin.
pub(crate) fn of_pin(
    tree: &Tree,
    host: NodeId,
    requester: u32,
    pin: u8,
    gic: NodeId,
) -> Result<Line, TreeError> {
    let unit = vec![requester << 8, 0, 0];
    let specifier = vec![u32::from(pin) + 1];
    let (end, cells) = nexus::follow_from(tree, host, host, unit, specifier, gic)?;
    line(tree, host, "interrupt-map", gic, end, cells)
}

/// What a node raises, each with the controller that it names, and the property that says so.
type Raised = (&'static str, Vec<(NodeId, Vec<u32>)>);

fn raised(tree: &Tree, node: NodeId) -> Result<Raised, TreeError> {
    const EXTENDED: &str = "interrupts-extended";
    const PLAIN: &str = "interrupts";
    if tree.has(node, EXTENDED) {
        let all = specifiers(tree, node, EXTENDED, nexus::CELLS)?;
        let all = all.into_iter().map(|one| (one.provider, one.arguments));
        return Ok((EXTENDED, all.collect()));
    }
    let Some(cells) = tree.cells(node, PLAIN)? else {
        return Ok((PLAIN, Vec::new()));
    };
    let controller = nexus::parent(tree, node)?
        .ok_or_else(|| tree.error(node, PLAIN, "go nowhere: there is no `interrupt-parent`"))?;
    let width = tree.cell(controller, nexus::CELLS)?.unwrap_or(0) as usize;
    if width == 0 || !cells.len().is_multiple_of(width) {
        return Err(tree.error(node, PLAIN, "is not a whole number of specifiers"));
    }
    let all = cells
        .chunks_exact(width)
        .map(|one| (controller, one.to_vec()));
    Ok((PLAIN, all.collect()))
}

fn line(
    tree: &Tree,
    node: NodeId,
    name: &str,
    gic: NodeId,
    end: NodeId,
    cells: Vec<u32>,
) -> Result<Line, TreeError> {
    if end != gic {
        return Ok(Line::Other {
            controller: end,
            cells,
        });
    }
    decode(tree, node, name, &cells).map(Line::Gic)
}

/// The first extended PPI (Arm IHI 0069H, section 2.2).
pub(crate) const FIRST_EXTENDED_PPI: u32 = 1056;

/// Reads a specifier of the GIC: kind, number, flags and, for a GICv3 with partitions, the phandle of a set of CPUs.
fn decode(tree: &Tree, node: NodeId, name: &str, cells: &[u32]) -> Result<Interrupt, TreeError> {
    let wrong = |what: String| Err(tree.error(node, name, what));
    let (&[kind, number, flags], rest) = match cells.split_first_chunk::<3>() {
        Some(split) if split.1.len() <= 1 => split,
        _ => return wrong(format!("has {} cells; the GIC reads 3 or 4", cells.len())),
    };
    let (intid, defined) = match (kind, number) {
        (0, 0..=987) => (number + IntId::FIRST_SPI, true),
        (1, 0..=15) => (number + IntId::FIRST_PPI, true),
        (1, 16..=1003) => (number + IntId::FIRST_PPI, false),
        (2, 0..=1023) => (number + IntId::FIRST_EXTENDED_SPI, true),
        (3, 0..=63) => (number + FIRST_EXTENDED_PPI, true),
        _ => {
            return wrong(format!(
                "has <{kind} {number} …>, which is none of: 0 (SPI) 0 to 987, 1 (PPI) 0 to 15, \
                 2 (extended SPI) 0 to 1023, 3 (extended PPI) 0 to 63"
            ));
        }
    };
    // Bits 3:0 are the trigger, one bit of four; for PPIs of a GICv2 bits 15:8 are a mask of CPUs.
    let trigger = match flags & 0xf {
        // Rising, falling.
        1 | 2 => Trigger::Edge,
        // Active high, active low; and 0, which leaves it to the reset value: level.
        0 | 4 | 8 => Trigger::Level,
        _ => {
            return wrong(format!(
                "has the flags {flags:#x}, which name several triggers"
            ));
        }
    };
    let partition = match rest {
        [] | [0] => None,
        [phandle, ..] => Some(provider(tree, node, name, *phandle)?),
    };
    Ok(Interrupt {
        intid: IntId::new(intid),
        trigger,
        cells: [kind, number, flags],
        partition,
        defined,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree_with(name: &str, cells: &[u32]) -> (Tree, NodeId, NodeId) {
        let mut tree = Tree::new();
        tree.set_cells(Tree::ROOT, "interrupt-parent", &[7]);
        let gic = tree.add(Tree::ROOT, "intc");
        tree.set_cells(gic, "phandle", &[7]);
        tree.set_cells(gic, "#interrupt-cells", &[3]);
        tree.set(gic, "interrupt-controller", []);
        let device = tree.add(Tree::ROOT, "device");
        tree.set_cells(device, name, cells);
        (tree, device, gic)
    }

    fn read(cells: &[u32]) -> Result<Vec<Interrupt>, TreeError> {
        let (tree, device, gic) = tree_with("interrupts", cells);
        interrupts(&tree, device, gic)
    }

    fn numbers(found: &[Interrupt]) -> Vec<u32> {
        found.iter().map(|one| one.intid.get()).collect()
    }

    #[test]
    fn spi_and_ppi_get_their_numbers_and_triggers() {
        let found = read(&[0, 1, 4, 1, 13, 0xff01]).unwrap();
        assert_eq!(numbers(&found), [33, 29]);
        assert_eq!(
            found.iter().map(|one| one.trigger).collect::<Vec<_>>(),
            [Trigger::Level, Trigger::Edge]
        );
    }

    #[test]
    fn all_four_triggers_are_read_and_mixtures_are_not() {
        let found = read(&[0, 1, 1, 0, 2, 2, 0, 3, 4, 0, 4, 8]).unwrap();
        let triggers: Vec<_> = found.iter().map(|one| one.trigger).collect();
        use Trigger::{Edge, Level};
        assert_eq!(triggers, [Edge, Edge, Level, Level]);
        let error = read(&[0, 1, 5]).unwrap_err().to_string();
        assert!(
            error.starts_with("/device: `interrupts` has the flags 0x5"),
            "{error}"
        );
    }

    #[test]
    fn extended_kinds_of_a_gicv3_get_their_numbers() {
        let found = read(&[2, 0, 4, 2, 1023, 4, 3, 63, 1]).unwrap();
        assert_eq!(numbers(&found), [4096, 5119, 1119]);
        assert!(read(&[2, 1024, 4]).is_err());
        assert!(read(&[3, 64, 4]).is_err());
    }

    #[test]
    fn extended_form_reads_the_same() {
        let (tree, device, gic) = tree_with("interrupts-extended", &[7, 0, 1, 4, 7, 1, 13, 8]);
        assert_eq!(numbers(&interrupts(&tree, device, gic).unwrap()), [33, 29]);
    }

    #[test]
    fn ppi_beyond_15_is_read_as_linux_does_and_marked() {
        // ThunderX's console is encoded so.
        let found = read(&[1, 21, 4]).unwrap();
        assert_eq!((found[0].intid.get(), found[0].defined), (37, false));
        assert!(read(&[1, 15, 4]).unwrap()[0].defined);
        assert!(read(&[1, 1004, 4]).is_err());
    }

    #[test]
    fn fourth_cell_names_the_cpus_of_a_ppi() {
        let (mut tree, device, gic) = tree_with("interrupts", &[1, 7, 4, 9, 0, 3, 4, 0]);
        tree.set_cells(gic, "#interrupt-cells", &[4]);
        let cluster = tree.add(gic, "interrupt-partition-0");
        tree.set_cells(cluster, "phandle", &[9]);
        let found = interrupts(&tree, device, gic).unwrap();
        assert_eq!(numbers(&found), [23, 35]);
        assert_eq!(
            [found[0].partition, found[1].partition],
            [Some(cluster), None]
        );
    }

    #[test]
    fn interrupt_of_another_controller_names_it() {
        let (mut tree, device, gic) = tree_with("interrupts-extended", &[8, 5, 2, 7, 0, 1, 4]);
        let gpio = tree.add(Tree::ROOT, "gpio");
        tree.set_cells(gpio, "phandle", &[8]);
        tree.set_cells(gpio, "#interrupt-cells", &[2]);
        tree.set(gpio, "interrupt-controller", []);
        let found = lines(&tree, device, gic).unwrap();
        let through = Line::Other {
            controller: gpio,
            cells: vec![5, 2],
        };
        assert_eq!(found[0], through);
        assert!(matches!(&found[1], Line::Gic(one) if one.intid.get() == 33));
        let error = interrupts(&tree, device, gic).unwrap_err().to_string();
        assert!(error.ends_with("not the GIC: /gpio"), "{error}");
    }

    #[test]
    fn foreign_controller_and_cut_specifier_are_errors() {
        let (tree, device, gic) = tree_with("interrupts-extended", &[8, 0, 1, 4]);
        assert!(interrupts(&tree, device, gic).is_err());
        let (tree, device, gic) = tree_with("interrupts-extended", &[7, 0]);
        assert!(interrupts(&tree, device, gic).is_err());
        assert!(read(&[0, 1]).is_err());
    }

    #[test]
    fn endless_lists_are_refused() {
        let cells: Vec<u32> = (0..1025).flat_map(|_| [0, 1, 4]).collect();
        assert!(read(&cells).unwrap_err().to_string().contains("1024"));
    }
}
