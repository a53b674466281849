//! What a node needs of other nodes, through phandles: clocks, resets, power domains, pins, …
//!
//! [`BINDINGS`] is the one list of the properties that name other nodes. Interrupts and streams are no part of it: they have modules
//! of their own, since their controllers belong to the hypervisor.

use super::{NodeId, Tree, TreeError};

/// How the properties of a binding are called.
enum Pattern {
    /// Exactly so.
    Name(&'static str),
    /// So, and then a number: `pinctrl-0`.
    Numbered(&'static str),
    /// Anything that ends so: `vmmc-supply`.
    Suffix(&'static str),
}

impl Pattern {
    fn matches(&self, property: &str) -> bool {
        match self {
            Self::Name(name) => property == *name,
            Self::Numbered(prefix) => property.strip_prefix(prefix).is_some_and(|number| {
                !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
            }),
            Self::Suffix(suffix) => property.len() > suffix.len() && property.ends_with(suffix),
        }
    }
}

/// How many cells stand behind each phandle.
#[derive(Clone, Copy)]
enum Width {
    /// None.
    Bare,
    /// Always so many.
    Fixed(usize),
    /// As many as this property of the provider says; it must be there.
    Said(&'static str),
    /// The same, none when it is missing.
    SaidOrNone(&'static str),
}

/// Properties that name other nodes in one way.
struct Binding {
    pattern: Pattern,
    width: Width,
    /// The property with a name for each entry.
    names: Option<&'static str>,
    /// Properties that mean nothing without this one.
    companions: &'static [&'static str],
}

const fn binding(pattern: Pattern, width: Width, names: Option<&'static str>) -> Binding {
    Binding {
        pattern,
        width,
        names,
        companions: &[],
    }
}

use Pattern::{Name, Numbered, Suffix};
use Width::{Bare, Fixed, Said, SaidOrNone};

/// Properties that look like a binding but name no node.
const COUNTS: &[&str] = &["nr-gpios", "ngpios", "num-gpios"];

/// The properties that name other nodes, from the bindings of Linux (Documentation/devicetree/bindings) and of the specification.
/// The first that matches counts.
const BINDINGS: &[Binding] = &[
    binding(Name("clocks"), Said("#clock-cells"), Some("clock-names")),
    Binding {
        companions: &["assigned-clock-rates", "assigned-clock-rates-u64"],
        ..binding(Name("assigned-clocks"), Said("#clock-cells"), None)
    },
    binding(Name("assigned-clock-parents"), Said("#clock-cells"), None),
    binding(Name("resets"), Said("#reset-cells"), Some("reset-names")),
    binding(
        Name("power-domains"),
        Said("#power-domain-cells"),
        Some("power-domain-names"),
    ),
    binding(Numbered("pinctrl-"), Bare, None),
    binding(Name("phys"), Said("#phy-cells"), Some("phy-names")),
    binding(Name("phy-handle"), Bare, None),
    binding(Name("phy"), Bare, None),
    binding(Name("phy-device"), Bare, None),
    binding(Name("usb-phy"), Bare, None),
    binding(Name("pcs-handle"), Bare, Some("pcs-handle-names")),
    binding(Name("sfp"), Bare, None),
    binding(
        Name("nvmem-cells"),
        SaidOrNone("#nvmem-cell-cells"),
        Some("nvmem-cell-names"),
    ),
    binding(Name("nvmem"), Bare, Some("nvmem-names")),
    binding(Name("dmas"), Said("#dma-cells"), Some("dma-names")),
    binding(
        Name("interconnects"),
        Said("#interconnect-cells"),
        Some("interconnect-names"),
    ),
    binding(Name("mboxes"), Said("#mbox-cells"), Some("mbox-names")),
    binding(Name("shmem"), Bare, None),
    binding(Name("pwms"), Said("#pwm-cells"), Some("pwm-names")),
    binding(
        Name("io-channels"),
        Said("#io-channel-cells"),
        Some("io-channel-names"),
    ),
    binding(Name("io-backends"), Said("#io-backend-cells"), None),
    binding(
        Name("mux-controls"),
        Said("#mux-control-cells"),
        Some("mux-control-names"),
    ),
    binding(Name("hwlocks"), Said("#hwlock-cells"), Some("hwlock-names")),
    binding(Name("sound-dai"), Said("#sound-dai-cells"), None),
    binding(Name("memory-region"), Bare, Some("memory-region-names")),
    binding(Name("thermal-sensors"), Said("#thermal-sensor-cells"), None),
    binding(Name("cooling-device"), Said("#cooling-cells"), None),
    binding(Name("trigger-sources"), Said("#trigger-source-cells"), None),
    binding(
        Name("access-controllers"),
        Said("#access-controller-cells"),
        Some("access-controller-names"),
    ),
    binding(Name("pses"), Said("#pse-cells"), None),
    // `#msi-cells` came later than the binding.
    binding(Name("msi-parent"), SaidOrNone("#msi-cells"), None),
    // Offset at the controller, offset and count at the pins.
    Binding {
        companions: &["gpio-ranges-group-names"],
        ..binding(Name("gpio-ranges"), Fixed(3), None)
    },
    binding(Name("operating-points-v2"), Bare, None),
    binding(Name("interrupt-affinity"), Bare, None),
    binding(Name("wakeup-parent"), Bare, None),
    binding(Name("mmc-pwrseq"), Bare, None),
    binding(Name("power-supplies"), Bare, None),
    binding(Name("monitored-battery"), Bare, None),
    binding(Name("extcon"), Bare, None),
    binding(Name("leds"), Bare, None),
    binding(Name("backlight"), Bare, None),
    binding(Name("panel"), Bare, None),
    binding(Name("ddc-i2c-bus"), Bare, None),
    binding(Name("i2c-bus"), Bare, None),
    binding(Name("i2c-parent"), Bare, None),
    binding(Name("fpga-mgr"), Bare, None),
    binding(Name("fpga-bridges"), Bare, None),
    binding(Name("nand-ecc-engine"), Bare, None),
    binding(Name("ethernet"), Bare, None),
    binding(Name("companion"), Bare, None),
    binding(Name("dais"), Bare, None),
    binding(Name("renesas,fcp"), Bare, None),
    binding(Name("renesas,bonding"), Bare, None),
    binding(Name("renesas,companion"), Bare, None),
    binding(Name("renesas,cmms"), Bare, None),
    binding(Name("renesas,vsps"), Fixed(1), None),
    binding(Name("syscon"), Bare, None),
    binding(Name("regmap"), Bare, None),
    binding(Suffix("-supply"), Bare, None),
    binding(Suffix("-gpios"), Said("#gpio-cells"), None),
    binding(Suffix("-gpio"), Said("#gpio-cells"), None),
    binding(Name("gpios"), Said("#gpio-cells"), None),
    binding(Name("gpio"), Said("#gpio-cells"), None),
];

fn binding_of(property: &str) -> Option<&'static Binding> {
    if COUNTS.iter().any(|count| property.ends_with(count)) {
        return None;
    }
    BINDINGS
        .iter()
        .find(|binding| binding.pattern.matches(property))
}

/// True when a property of that name names other nodes.
pub(crate) fn names_providers(property: &str) -> bool {
    binding_of(property).is_some()
}

/// What goes when a property that names other nodes goes: names of its entries, and what means nothing without it.
pub(crate) fn companions(property: &str) -> impl Iterator<Item = &'static str> {
    let binding = binding_of(property);
    let names = binding.and_then(|one| one.names);
    names.into_iter().chain(
        binding
            .map_or(&[][..], |one| one.companions)
            .iter()
            .copied(),
    )
}

/// One entry of a property that names another node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Dependency {
    /// The node with the property.
    pub consumer: NodeId,
    pub property: String,
    /// Which entry, from 0.
    pub index: usize,
    pub provider: NodeId,
    /// The cells behind the phandle.
    pub arguments: Vec<u32>,
    /// What the binding calls this entry, from `clock-names` and the like.
    pub name: Option<String>,
}

/// What one node needs of others; what its subnodes need is asked for them.
///
/// # Errors
/// A phandle that no node has, an entry that is cut off, a provider that does not say how long an entry is.
pub(crate) fn dependencies(tree: &Tree, node: NodeId) -> Result<Vec<Dependency>, TreeError> {
    let mut found = Vec::new();
    for property in tree.properties(node) {
        // A hog names lines of the controller that it stands in, without a phandle.
        if property.name == "gpios" && tree.has(node, "gpio-hog") {
            continue;
        }
        // A PCI host's messages are read with its functions (`msi`), which see a controller of their partition.
        if property.name == "msi-parent" && tree.string(node, "device_type") == Some("pci") {
            continue;
        }
        if let Some(binding) = binding_of(&property.name) {
            read(tree, node, &property.name, binding, &mut found)?;
        }
    }
    Ok(found)
}

/// How many entries a property that names other nodes has, holes included. 0 when it is missing.
///
/// # Errors
/// The same as [`dependencies`].
pub(crate) fn entries(tree: &Tree, node: NodeId, property: &str) -> Result<usize, TreeError> {
    match binding_of(property) {
        Some(binding) => read(tree, node, property, binding, &mut Vec::new()),
        None => Ok(0),
    }
}

/// Reads all entries of a property and returns how many there are.
fn read(
    tree: &Tree,
    node: NodeId,
    property: &str,
    binding: &Binding,
    found: &mut Vec<Dependency>,
) -> Result<usize, TreeError> {
    let cells = tree.cells(node, property)?.unwrap_or_default();
    let names = binding
        .names
        .map_or(Vec::new(), |names| tree.strings(node, names));
    let mut rest = cells.as_slice();
    let mut index = 0;
    while let Some((phandle, tail)) = rest.split_first() {
        // 0 is a hole that keeps the numbers of the entries behind it (Linux, of_parse_phandle_with_args).
        if *phandle == 0 {
            rest = tail;
            index += 1;
            continue;
        }
        let provider = tree
            .by_phandle(*phandle)
            .ok_or_else(|| tree.error(node, property, "names a phandle that no node has"))?;
        let width = width(tree, provider, binding.width)?;
        let (arguments, tail) = tail
            .split_at_checked(width)
            .ok_or_else(|| tree.error(node, property, "is cut off within an entry"))?;
        found.push(Dependency {
            consumer: node,
            property: property.to_owned(),
            index,
            provider,
            arguments: arguments.to_vec(),
            name: names.get(index).map(|name| (*name).to_owned()),
        });
        rest = tail;
        index += 1;
    }
    Ok(index)
}

fn width(tree: &Tree, provider: NodeId, width: Width) -> Result<usize, TreeError> {
    let (name, missing) = match width {
        Bare => return Ok(0),
        Fixed(cells) => return Ok(cells),
        Said(name) => (name, None),
        SaidOrNone(name) => (name, Some(0)),
    };
    tree.cell(provider, name)?
        .or(missing)
        .map(|cells| cells as usize)
        .ok_or_else(|| tree.error(provider, name, "is missing, though another node needs it"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A consumer, and providers with phandles 1 (one clock cell), 2 (none, three GPIO cells) and 3 (says nothing).
    fn tree() -> (Tree, NodeId) {
        let mut tree = Tree::new();
        for (phandle, clock, gpio) in [(1, Some(1), None), (2, Some(0), Some(3)), (3, None, None)] {
            let node = tree.add(Tree::ROOT, format!("provider{phandle}"));
            tree.set_cells(node, "phandle", &[phandle]);
            if let Some(cells) = clock {
                tree.set_cells(node, "#clock-cells", &[cells]);
            }
            if let Some(cells) = gpio {
                tree.set_cells(node, "#gpio-cells", &[cells]);
            }
        }
        let node = tree.add(Tree::ROOT, "device");
        (tree, node)
    }

    fn providers(tree: &Tree, node: NodeId) -> Vec<(usize, String, Vec<u32>)> {
        let found = dependencies(tree, node).unwrap();
        let line = |one: Dependency| (one.index, tree.path(one.provider), one.arguments);
        found.into_iter().map(line).collect()
    }

    #[test]
    fn entries_are_as_long_as_each_provider_says() {
        let (mut tree, node) = tree();
        tree.set_cells(node, "clocks", &[1, 77, 2, 1, 78]);
        tree.set(node, "clock-names", *b"bus\0core\0");
        let expected = [
            (0, "/provider1".to_owned(), vec![77]),
            (1, "/provider2".to_owned(), vec![]),
            (2, "/provider1".to_owned(), vec![78]),
        ];
        assert_eq!(providers(&tree, node), expected);
        let names: Vec<_> = dependencies(&tree, node).unwrap();
        let names: Vec<_> = names.iter().map(|one| one.name.as_deref()).collect();
        assert_eq!(names, [Some("bus"), Some("core"), None]);
    }

    #[test]
    fn hole_keeps_the_numbers_of_what_follows() {
        let (mut tree, node) = tree();
        tree.set_cells(node, "clocks", &[0, 2]);
        assert_eq!(providers(&tree, node)[0].0, 1);
        assert_eq!(entries(&tree, node, "clocks").unwrap(), 2);
    }

    #[test]
    fn supplies_pins_and_gpios_are_found_by_their_form() {
        let (mut tree, node) = tree();
        tree.set_cells(node, "vmmc-supply", &[3]);
        tree.set_cells(node, "pinctrl-12", &[3, 3]);
        tree.set_cells(node, "reset-gpios", &[2, 1, 2, 3]);
        tree.set_cells(node, "vendor,nr-gpios", &[9]);
        tree.set_cells(node, "pinctrl-names", &[9]);
        tree.set_cells(node, "gpio-ranges", &[3, 0, 0, 32]);
        let found = dependencies(&tree, node).unwrap();
        let found: Vec<&str> = found.iter().map(|one| one.property.as_str()).collect();
        let expected = [
            "vmmc-supply",
            "pinctrl-12",
            "pinctrl-12",
            "reset-gpios",
            "gpio-ranges",
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn hog_names_no_controller() {
        let (mut tree, node) = tree();
        tree.set_cells(node, "gpios", &[5, 0]);
        tree.set(node, "gpio-hog", []);
        assert!(providers(&tree, node).is_empty());
    }

    #[test]
    fn optional_width_that_is_missing_means_none() {
        let (mut tree, node) = tree();
        tree.set_cells(node, "nvmem-cells", &[3]);
        assert_eq!(
            providers(&tree, node),
            [(0, "/provider3".to_owned(), vec![])]
        );
    }

    #[test]
    fn malformed_entries_are_told_with_node_and_property() {
        let (mut tree, node) = tree();
        let fault = |tree: &Tree| dependencies(tree, node).unwrap_err().to_string();
        tree.set_cells(node, "clocks", &[99]);
        assert_eq!(
            fault(&tree),
            "/device: `clocks` names a phandle that no node has"
        );
        tree.set_cells(node, "clocks", &[1]);
        assert_eq!(fault(&tree), "/device: `clocks` is cut off within an entry");
        tree.set_cells(node, "clocks", &[3]);
        assert_eq!(
            fault(&tree),
            "/provider3: `#clock-cells` is missing, though another node needs it"
        );
        tree.set(node, "clocks", [1, 2, 3]);
        assert!(fault(&tree).contains("32-bit cells"));
    }

    #[test]
    fn names_and_rates_go_with_their_property() {
        assert_eq!(companions("clocks").collect::<Vec<_>>(), ["clock-names"]);
        assert_eq!(companions("assigned-clocks").count(), 2);
        assert_eq!(companions("reg").count(), 0);
    }

    #[test]
    fn message_controller_is_a_dependency_but_for_a_pci_host() {
        let (mut tree, node) = tree();
        let its = tree.add(Tree::ROOT, "its");
        tree.set_cells(its, "phandle", &[0x77]);
        tree.set_cells(node, "msi-parent", &[0x77]);
        assert_eq!(dependencies(&tree, node).unwrap().len(), 1);
        tree.set_string(node, "device_type", "pci");
        assert_eq!(dependencies(&tree, node).unwrap(), []);
    }

    proptest! {
        #[test]
        fn any_cells_give_entries_or_an_error(cells in prop::collection::vec(0u32..5, 0..12)) {
            let (mut tree, node) = tree();
            for property in ["clocks", "gpios", "dmas", "msi-parent", "gpio-ranges", "pinctrl-0"] {
                tree.set_cells(node, property, &cells);
            }
            if let Ok(found) = dependencies(&tree, node) {
                prop_assert!(found.iter().all(|one| one.arguments.len() < cells.len()));
            }
        }
    }
}
