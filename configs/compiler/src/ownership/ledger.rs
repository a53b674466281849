//! The ledger of one system.

use std::collections::BTreeSet;
use std::ops::Range;

use model::ids::IntId;
use model::memory::PAGE;

use super::{Claim, Owner, Sharing, Space, Streams};
use crate::board::{Board, Device};
use crate::check::Context;
use crate::devicetree::addresses::registers;
use crate::devicetree::{NodeId, Tree};
use crate::range::AddressRange;

/// Registers larger than this are no register block: the tree is wrong about a device that nobody uses.
const LARGEST_REGISTERS: u64 = 4 << 30;

/// Everything that can be owned on a board.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ledger {
    /// Bytes of RAM.
    pub memory: Space,
    /// Bytes of registers, in whole pages: the hypervisor protects nothing smaller.
    pub registers: Space,
    /// Interrupt numbers (INTIDs).
    pub interrupts: Space,
    /// Streams of the enabled IOMMUs.
    pub streams: Streams,
}

/// Enters every claim on the board.
pub(crate) fn ledger(context: &Context<'_>, board: &Board) -> Ledger {
    let mut ledger = Ledger::default();
    let console_given = context
        .partitions()
        .any(|(_, resolved)| resolved.owns(board.console.node));
    ledger.firmware(board);
    ledger.hypervisor(board, context.memory.image, console_given);
    for (index, (partition, resolved)) in context.partitions().enumerate() {
        let owner = Owner::Partition(index);
        let regions = context.memory.partitions.get(index).into_iter().flatten();
        for region in regions {
            if let Some(range) = region.lies() {
                let span = Some(region.span.clone());
                ledger
                    .memory
                    .claim(claim(range, owner, "memory", Sharing::Nobody, span));
            }
        }
        if let Some(file) = resolved.separate()
            && let Some(range) = file.lies()
        {
            let (owner, span) = (Owner::File(index), Some(file.span.clone()));
            let file = claim(range, owner, "an image", Sharing::Nobody, span);
            ledger.memory.claim(file);
        }
        for (span, device) in &resolved.devices {
            let sharing = if device.read_only {
                Sharing::Readers
            } else {
                Sharing::SameOwner
            };
            ledger.device(device, owner, sharing, span);
            if let Some(function) = device.function() {
                // Partitions see what of it the hypervisor shows them.
                let what = format!(
                    "the configuration space of {}",
                    board.tree.path(device.node)
                );
                let range = function.reached;
                ledger.pages(range, Owner::Hypervisor, &what, Sharing::SameOwner, None);
            }
            // What is only read is never told to do DMA.
            if !device.read_only {
                let confined = board.confined(&device.streams);
                ledger
                    .streams
                    .claim(&confined, owner, &device.path, Some(span));
            }
        }
        for interrupt in &partition.interrupts {
            let number = u64::from(IntId::FIRST_SPI) + u64::from(*interrupt.spi.get_ref());
            let what = format!("SPI {}", interrupt.spi.get_ref());
            let span = Some(interrupt.span.clone());
            ledger.interrupt(number, owner, &what, Sharing::Nobody, span);
        }
    }
    for (index, channel) in context.memory.channels.iter().enumerate() {
        let Some(channel) = channel else { continue };
        if let Some(range) = channel.lies() {
            let (owner, span) = (Owner::Channel(index), Some(channel.span.clone()));
            ledger
                .memory
                .claim(claim(range, owner, "memory", Sharing::Nobody, span));
        }
    }
    ledger.nobodys(context, board, console_given);
    ledger
}

fn claim(
    range: AddressRange,
    owner: Owner,
    what: &str,
    sharing: Sharing,
    span: Option<Range<usize>>,
) -> Claim {
    Claim {
        range,
        owner,
        what: what.to_owned(),
        sharing,
        span,
    }
}

impl Ledger {
    fn firmware(&mut self, board: &Board) {
        for (range, path) in &board.memory.reserved {
            let reserved = claim(*range, Owner::Firmware, path, Sharing::SameOwner, None);
            self.memory.claim(reserved);
        }
    }

    fn hypervisor(&mut self, board: &Board, image: Option<AddressRange>, console_given: bool) {
        let own = Owner::Hypervisor;
        // What lies below the image is kept for firmware that put it there.
        let below = image.and_then(|image| AddressRange::between(image.base, board.load));
        let from_load = image.and_then(|image| AddressRange::between(board.load, image.end()));
        for (range, owner, what) in [
            (below, Owner::Firmware, "memory below the image"),
            (from_load, own, "the hypervisor's image"),
        ] {
            let entry = range.map(|range| claim(range, owner, what, Sharing::SameOwner, None));
            entry.into_iter().for_each(|entry| self.memory.claim(entry));
        }
        for range in &board.gic.registers {
            self.pages(
                *range,
                own,
                "the interrupt controller",
                Sharing::SameOwner,
                None,
            );
        }
        for iommu in &board.iommus {
            let what = format!("the IOMMU {}", iommu.path);
            for range in &iommu.registers {
                self.pages(*range, own, &what, Sharing::SameOwner, None);
            }
            for interrupt in iommu.interrupts.iter().filter(|_| iommu.enabled) {
                let number = u64::from(interrupt.intid.get());
                self.interrupt(number, own, &what, Sharing::SameOwner, None);
            }
        }
        if !console_given {
            let (uart, what) = (board.console, "the hypervisor's console");
            self.pages(uart.registers, own, what, Sharing::SameOwner, None);
            // Partitions see their virtual consoles' interrupt at this number, even where the board's console has none.
            let number = u64::from(board.virtual_uart.intid.get());
            self.interrupt(number, own, what, Sharing::SameOwner, None);
            // A malformed list is nobody's stream; who names the device is told.
            let streams = board.streams(uart.node).unwrap_or_default();
            self.streams.claim(&streams, own, what, None);
        }
        for (intid, what) in [
            (board.gic.maintenance, "the maintenance interrupt"),
            (board.timers.hypervisor, "the EL2 timer"),
            (board.timers.virtual_, "the EL1 virtual timer"),
            (board.timers.physical, "the EL1 physical timer"),
        ] {
            self.interrupt(u64::from(intid.get()), own, what, Sharing::SameOwner, None);
        }
    }

    fn device(&mut self, device: &Device, owner: Owner, sharing: Sharing, span: &Range<usize>) {
        for range in &device.registers {
            let span = Some(span.clone());
            self.pages(*range, owner, &device.path, sharing, span);
        }
        for interrupt in &device.interrupts {
            let (number, span) = (u64::from(interrupt.intid.get()), Some(span.clone()));
            self.interrupt(number, owner, &device.path, Sharing::SameOwner, span);
        }
    }

    /// Registers of the devices that nobody asked for. A partition that got a page with some of them could use them.
    fn nobodys(&mut self, context: &Context<'_>, board: &Board, console_given: bool) {
        let tree = &board.tree;
        let own = context.partitions().flat_map(|(_, resolved)| {
            let devices = resolved.devices.iter();
            devices.map(|(_, device)| device.node)
        });
        let own: BTreeSet<NodeId> = own.collect();
        // A bus that a device is on describes the same registers once more.
        let buses: BTreeSet<NodeId> = own
            .iter()
            .flat_map(|node| std::iter::successors(tree.parent(*node), |node| tree.parent(*node)))
            .collect();
        let console = (!console_given).then_some(board.console.node);
        let kept: BTreeSet<NodeId> = console.into_iter().chain([board.gic.node]).collect();
        let reserved = tree.find("/reserved-memory");
        let is_memory = |node| {
            tree.string(node, "device_type") == Some("memory")
                || reserved.is_some() && tree.parent(node) == reserved
        };
        for node in tree.nodes() {
            let mut line = std::iter::successors(Some(node), |node| tree.parent(*node));
            let known = buses.contains(&node)
                || is_iommu(tree, node)
                || line.any(|node| own.contains(&node) || kept.contains(&node));
            if known || !tree.has(node, "compatible") || is_memory(node) {
                continue;
            }
            // What cannot be read cannot be given away either.
            for range in registers(tree, node).unwrap_or_default() {
                if range.size <= LARGEST_REGISTERS {
                    let path = tree.path(node);
                    self.pages(range, Owner::Board, &path, Sharing::SameOwner, None);
                }
            }
        }
    }

    fn pages(
        &mut self,
        range: AddressRange,
        owner: Owner,
        what: &str,
        sharing: Sharing,
        span: Option<Range<usize>>,
    ) {
        if let Some(pages) = range.outward(PAGE) {
            self.registers
                .claim(claim(pages, owner, what, sharing, span));
        }
    }

    fn interrupt(
        &mut self,
        number: u64,
        owner: Owner,
        what: &str,
        sharing: Sharing,
        span: Option<Range<usize>>,
    ) {
        if let Some(one) = AddressRange::new(number, 1) {
            self.interrupts
                .claim(claim(one, owner, what, sharing, span));
        }
    }
}

/// An IOMMU belongs to the hypervisor, whether it drives it or not.
fn is_iommu(tree: &Tree, node: NodeId) -> bool {
    tree.has(node, "#iommu-cells")
}
