//! Xen's dom0less configurations (Xen, docs/misc/arm/device-tree/booting.txt, cpupools.txt and docs/misc/arm/passthrough.txt): a device
//! tree of the board whose `/chosen` lists domains, pools and shared memory.

mod boot_arguments;
mod channels;
mod devices;
mod domain;
mod pools;
mod write;

use super::{Import, ImportError, Note, Options};
use crate::devicetree::{NodeId, Tree, TreeError};
use domain::Domain;

/// Turns a Xen dom0less configuration into a system file. `tree` is the flattened device tree that Xen is booted with.
///
/// The bytes are hostile until read. What the text says is meant to be checked next: an imported system can still be wrong.
///
/// # Errors
/// The tree is malformed, or there is nothing in it to import.
pub fn xen(tree: &[u8], options: &Options<'_>) -> Result<Import, ImportError> {
    let tree = Tree::read(tree)?;
    let chosen = tree.find("/chosen").ok_or(ImportError::NoDomain)?;
    let mut source = Source {
        tree: &tree,
        chosen,
        options,
        notes: Vec::new(),
    };
    let arguments = boot_arguments::read(&mut source);
    let domains = domain::read_all(&mut source, &arguments)?;
    if domains.is_empty() {
        return Err(ImportError::NoDomain);
    }
    let pools = pools::assign(&mut source, &domains, &arguments)?;
    let channels = channels::read(&mut source, &domains)?;
    if tree.has(chosen, "xen,static-heap") {
        let advice = "nothing to do: nothing is allocated at run time";
        source.note(chosen, "`xen,static-heap`", advice);
    }
    devices::report_unclaimed(&mut source, &domains);
    let board = board(&mut source);
    let toml = write::system(&source, &board, &arguments, &domains, &pools, &channels);
    Ok(Import {
        toml,
        notes: source.notes,
    })
}

/// The configuration as it is read, and what was noted meanwhile.
struct Source<'a> {
    tree: &'a Tree,
    chosen: NodeId,
    options: &'a Options<'a>,
    notes: Vec<Note>,
}

impl<'a> Source<'a> {
    /// Where a module is put; `None` when nothing says so.
    fn module_address(&self, node: NodeId) -> Result<Option<u64>, TreeError> {
        let tree = self.tree;
        let Some(parent) = tree.parent(node).filter(|_| tree.has(node, "reg")) else {
            return Ok(None);
        };
        let numbers = self.numbers(node, "reg", &self.widths(parent)?)?;
        Ok(numbers.first().copied())
    }

    fn note(&mut self, node: NodeId, found: impl Into<String>, advice: impl Into<String>) {
        let note = Note {
            node: self.tree.path(node),
            found: found.into(),
            advice: advice.into(),
        };
        self.notes.push(note);
    }

    /// Direct children of a node that are compatible with one of `names`.
    fn children(&self, node: NodeId, names: &[&str]) -> Vec<NodeId> {
        let tree = self.tree;
        let children = tree.children(node).iter().copied();
        children
            .filter(|child| tree.is_compatible(*child, names))
            .collect()
    }

    /// Numbers of the widths that `widths` give in cells, again and again up to the end of the property.
    fn numbers(
        &self,
        node: NodeId,
        property: &str,
        widths: &[usize],
    ) -> Result<Vec<u64>, TreeError> {
        let cells = self.tree.cells(node, property)?.unwrap_or_default();
        let total: usize = widths.iter().sum();
        if total == 0 || !cells.len().is_multiple_of(total) {
            return Err(self
                .tree
                .error(node, property, "is not a whole number of entries"));
        }
        let mut numbers = Vec::new();
        let mut rest = cells.as_slice();
        for width in widths.iter().cycle() {
            let Some((number, tail)) = rest.split_at_checked(*width).filter(|_| !rest.is_empty())
            else {
                break;
            };
            numbers.push(
                number
                    .iter()
                    .fold(0, |sum, cell| sum << 32 | u64::from(*cell)),
            );
            rest = tail;
        }
        Ok(numbers)
    }

    /// How many cells the children of a node have for an address and for a size: one or two.
    fn widths(&self, node: NodeId) -> Result<[usize; 2], TreeError> {
        let width = |name: &str, default: u32| match self.tree.cell(node, name)?.unwrap_or(default)
        {
            width @ 1..=2 => Ok(width as usize),
            _ => Err(self.tree.error(node, name, "is not one or two")),
        };
        // The defaults of the Devicetree Specification 0.4, section 2.3.5.
        Ok([width("#address-cells", 2)?, width("#size-cells", 1)?])
    }

    /// Board indices of the usable CPUs, by node.
    fn cpus(&self) -> Vec<NodeId> {
        let tree = self.tree;
        let cpus = tree
            .find("/cpus")
            .map_or(&[][..], |cpus| tree.children(cpus));
        let usable = |node: &&NodeId| {
            tree.string(**node, "device_type") == Some("cpu") && tree.is_enabled(**node)
        };
        cpus.iter().filter(usable).copied().collect()
    }
}

/// The name of the board.
fn board(source: &mut Source<'_>) -> String {
    if let Some(board) = source.options.board {
        return board.to_owned();
    }
    let tree = source.tree;
    if tree.is_compatible(Tree::ROOT, &["linux,dummy-virt"]) {
        let has_v3 = |node| tree.is_compatible(node, &["arm,gic-v3"]);
        let gic = if tree.nodes().any(has_v3) {
            "gicv3"
        } else {
            "gicv2"
        };
        return format!("qemu-virt-{gic}");
    }
    let model = tree.string(Tree::ROOT, "compatible").unwrap_or("unknown");
    let name = model.rsplit(',').next().unwrap_or(model).to_owned();
    let found = format!("the board's name is taken from its `compatible`: {name}");
    let advice = "name the folder of platforms/boards that it is, or give --board";
    source.note(Tree::ROOT, found, advice);
    name
}

/// Domains that a node belongs to: its parent is the domain's node, or `/chosen` for the first domain when that is dom0.
fn owner(source: &Source<'_>, domains: &[Domain], node: NodeId) -> Option<usize> {
    let parent = source.tree.parent(node)?;
    domains.iter().position(|domain| domain.node == parent)
}

#[cfg(test)]
mod tests;
