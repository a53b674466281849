//! Devices that a domain gets by a partial device tree: `xen,path`, `xen,reg` and `xen,force-assign-without-iommu`.

use super::domain::Domain;
use super::{ImportError, Source};
use crate::devicetree::{NodeId, Tree, TreeError};

/// The module that holds a partial device tree.
pub(super) const MODULE: &str = "multiboot,device-tree";

/// A domain's devices.
#[derive(Debug, Default)]
pub(super) struct Devices {
    /// Paths in the board's tree.
    pub paths: Vec<String>,
    /// A device is given away although no IOMMU confines it.
    pub trusted: bool,
}

pub(super) fn read(source: &mut Source<'_>, domain: NodeId) -> Result<Devices, ImportError> {
    let mut devices = Devices::default();
    for node in source.children(domain, &[MODULE]) {
        let address = source.module_address(node)?;
        let mut modules = source.options.modules.iter();
        match modules.find(|module| Some(module.address) == address) {
            Some(module) => {
                let partial = Tree::read(&module.bytes)
                    .map_err(|error| ImportError::Tree(format!("{}: {error}", module.path)))?;
                partial_tree(source, node, &partial, &mut devices)?;
            }
            None => {
                let place = address.map_or("ADDRESS".to_owned(), |address| format!("{address:#x}"));
                source.note(
                    node,
                    "the partial device tree, which names the devices, is not in this tree",
                    format!("import again with `--module {place}=FILE.dtb`, or list the devices with `devices`"),
                );
            }
        }
    }
    Ok(devices)
}

fn partial_tree(
    source: &mut Source<'_>,
    module: NodeId,
    partial: &Tree,
    devices: &mut Devices,
) -> Result<(), TreeError> {
    for node in partial.nodes() {
        let path = partial.path(node);
        if let Some(device) = partial.string(node, "xen,path") {
            if source.tree.find(device).is_none() {
                let found = format!("{path} stands for {device}, which the board does not have");
                source.note(module, found, "name the device as the board's tree does");
            } else if !devices.paths.iter().any(|known| known == device) {
                devices.paths.push(device.to_owned());
            }
        } else if partial.has(node, "xen,reg") {
            let found = format!("{path} has registers (`xen,reg`) but no device (`xen,path`)");
            source.note(module, found, "give the registers a node in the board's tree with an overlay, and list that in `devices`");
        } else if partial.has(node, "compatible") && partial.base_name(node) != "passthrough" {
            let found = format!("{path} stands for no device of the board");
            source.note(module, found, "clocks and other providers are found by themselves; anything else is added with `overlay`");
        }
        devices.trusted |= partial.has(node, "xen,force-assign-without-iommu");
        if moved(partial, node)? {
            let found = format!("{path} is shown to the guest at another address than it has");
            source.note(module, found, "a partition sees its devices where they are: change what the guest knows about them");
        }
    }
    Ok(())
}

/// True when an entry of `xen,reg` (address, size, address for the guest) moves registers.
fn moved(partial: &Tree, node: NodeId) -> Result<bool, TreeError> {
    let cells = partial.cells(node, "xen,reg")?.unwrap_or_default();
    // Two cells each, as the root of a partial tree has them in every example of the binding.
    Ok(cells
        .chunks_exact(6)
        .any(|entry| entry.get(..2) != entry.get(4..)))
}

/// Notes devices that the board's tree marks for a domain, and that none has.
pub(super) fn report_unclaimed(source: &mut Source<'_>, domains: &[Domain]) {
    let tree = source.tree;
    for node in tree
        .nodes()
        .filter(|node| tree.has(*node, "xen,passthrough"))
    {
        let path = tree.path(node);
        let claimed = domains
            .iter()
            .flat_map(|domain| &domain.devices.paths)
            .any(|device| tree.find(device) == Some(node));
        if !claimed {
            let advice =
                format!("add \"{path}\" to the `devices` of the partition that shall have it");
            source.note(
                node,
                "marked `xen,passthrough`, but no domain is known to have it",
                advice,
            );
        }
    }
}
