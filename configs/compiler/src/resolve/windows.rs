//! Which part of its bridge's memory each PCI function gets for its BARs.
//!
//! A function's window is a power of two and aligned to its size, so all sets of BARs that fit it by their sum fit it by their alignment, and no
//! two partitions share a page.

use std::collections::BTreeMap;

use super::{Resolved, Resolver};
use crate::board::{Device, PciFunction};
use crate::codes;
use crate::devicetree::NodeId;
use crate::devicetree::addresses::PciWindow;
use crate::diagnostics::{Diagnostic, Diagnostics};
use crate::range::{AddressRange, align_up, human_size};

impl Resolver<'_> {
    /// Gives each function its window, bridge by bridge: the largest first, those of one size in the order of the system file. One for which
    /// there is no room is reported and has none.
    pub fn place_windows(&self, partitions: &mut [Resolved], findings: &mut Diagnostics) {
        let all = partitions.iter_mut().flat_map(|one| &mut one.devices);
        let mut functions: Vec<_> = all
            .filter(|(_, device)| device.function().is_some())
            .collect();
        functions.sort_by_key(|(_, device)| {
            std::cmp::Reverse(device.function().map(|function| function.window_size))
        });
        let mut taken: BTreeMap<NodeId, Vec<AddressRange>> = BTreeMap::new();
        for (span, device) in functions {
            let taken = taken.entry(device.node).or_default();
            let Some(window) = device.function().and_then(|function| find(function, taken)) else {
                let message = format!("the bridge has no room for the BARs of {}", device.path);
                let size = device.function().map_or(0, |function| function.window_size);
                findings.push(
                    Diagnostic::error(codes::BRIDGE_FULL, message)
                        .at(self.source, span.clone())
                        .found(format!("a window of {}", human_size(size)))
                        .help("give smaller windows, as `window = \"64KiB\"`, or fewer functions"),
                );
                continue;
            };
            taken.push(window.cpu);
            device.set_window(window);
        }
    }
}

/// The lowest place in the bridge's windows that is aligned on both sides and that nobody has.
fn find(function: &PciFunction, taken: &[AddressRange]) -> Option<PciWindow> {
    let size = function.window_size;
    let place = |room: &PciWindow| {
        let mut base = align_up(room.bus, size)?;
        loop {
            let offset = base.checked_sub(room.bus)?;
            let cpu = AddressRange::new(room.cpu.base.checked_add(offset)?, size)?;
            // Addresses that the BARs of 32 bits cannot hold are no place.
            if !room.cpu.contains(cpu) || base.checked_add(size)? > 1 << 32 {
                return None;
            }
            let clash = taken.iter().find(|other| other.overlaps(cpu));
            let Some(clash) = clash else {
                let above = room.above.checked_add(offset)?;
                let aligned = cpu.base.is_multiple_of(model::memory::PAGE);
                return aligned.then_some(PciWindow {
                    bus: base,
                    above,
                    cpu,
                });
            };
            base = align_up(base + (clash.end() - cpu.base), size)?;
        }
    };
    function.room.iter().find_map(place)
}

impl Device {
    /// Takes a window for the BARs of this function.
    fn set_window(&mut self, window: PciWindow) {
        self.registers.push(window.cpu);
        if let Some(crate::board::Pci::Function(function)) = &mut self.pci {
            function.window = Some(window);
        }
    }
}
