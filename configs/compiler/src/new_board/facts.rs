//! What was found on a board, and what must be found out elsewhere.

use super::Draft;
use crate::board::{Board, GicKind};
use crate::devicetree::streams::IommuKind;
use crate::range::{AddressRange, human_size};

/// The board at a glance.
pub(super) fn facts(draft: &Draft) -> Vec<(&'static str, String)> {
    let board = &draft.board;
    let bank = |bank: &AddressRange| format!("{} at {:#x}", human_size(bank.size), bank.base);
    let banks: Vec<String> = board.memory.banks.iter().map(bank).collect();
    let kept = board.memory.reserved.iter();
    let kept: Vec<String> = kept
        .map(|(range, name)| format!("{range} ({name})"))
        .collect();
    let mut facts = vec![
        (
            "board",
            format!("{} ({})", board.description, board.compatible),
        ),
        ("CPUs", cpus(board)),
        ("RAM", banks.join(", ")),
        ("reserved", or_none(&kept)),
        ("GIC", gic(board)),
        ("console", console(board)),
        ("IOMMUs", or_none(&iommus(board))),
        ("image at", format!("{:#x}", board.load)),
    ];
    if let Some(machine) = &draft.file.qemu {
        let text = format!("-M {} -cpu {}", machine.machine, machine.cpu);
        facts.push(("QEMU", text));
    }
    facts
}

fn or_none(list: &[String]) -> String {
    match list {
        [] => "none".to_owned(),
        list => list.join(", "),
    }
}

/// Numbers of CPUs by type, in the order in which the types appear.
fn cpus(board: &Board) -> String {
    let mut kinds: Vec<(&str, usize)> = Vec::new();
    for cpu in &board.cpus {
        let kind = board.tree.string(cpu.node, "compatible").unwrap_or("?");
        match kinds.iter_mut().find(|(known, _)| *known == kind) {
            Some((_, count)) => *count += 1,
            None => kinds.push((kind, 1)),
        }
    }
    let kinds: Vec<String> = kinds
        .iter()
        .map(|(kind, count)| format!("{count} × {kind}"))
        .collect();
    kinds.join(", ")
}

fn gic(board: &Board) -> String {
    let path = board.tree.path(board.gic.node);
    match &board.gic.kind {
        GicKind::V2 { distributor, .. } => format!("GICv2 at {distributor:#x} ({path})"),
        GicKind::V3 {
            distributor,
            redistributors,
            ..
        } => {
            let its = if board.gic.its().is_some() {
                ", with an ITS"
            } else {
                ""
            };
            let regions = redistributors.len();
            let plural = if regions == 1 { "" } else { "s" };
            format!(
                "GICv3 at {distributor:#x} ({path}), {regions} region{plural} of redistributors{its}"
            )
        }
    }
}

pub(super) fn console(board: &Board) -> String {
    let uart = &board.console;
    let path = board.tree.path(uart.node);
    format!(
        "{} at {:#x} ({path})",
        uart.kind.name(),
        uart.registers.base
    )
}

fn iommus(board: &Board) -> Vec<String> {
    let name = |kind: &IommuKind| match kind {
        IommuKind::SmmuV3 => "SMMUv3",
        IommuKind::SmmuV2 => "SMMUv2",
        IommuKind::Ipmmu => "IPMMU",
        IommuKind::Unknown => "of an unknown kind",
    };
    let iommus = board.iommus.iter().map(|one| {
        let off = match (one.enabled, one.defective) {
            (_, true) => ", which does not work rightly in this chip",
            (true, _) => "",
            (false, _) => ", disabled",
        };
        format!("{} ({}{off})", name(&one.kind), one.path)
    });
    iommus.collect()
}

/// What a human must find out, most important first.
pub(super) fn open(draft: &Draft) -> Vec<String> {
    let board = &draft.board;
    let mut open = Vec::new();
    if draft.load.guess {
        open.push(format!(
            "where the boot loader puts the image: {:#x} is a guess. It may load the image at any multiple of 2 MiB that neither it nor a partition uses; write the usual place into `load`",
            board.load
        ));
    }
    if draft.console.guess {
        open.push(format!(
            "the console: the device tree does not name one that can be used, so {} is a guess",
            console(board)
        ));
    }
    open.push("memory that secure firmware keeps and the device tree does not reserve (Trusted Firmware-A, OP-TEE): the boot log of firmware says where it runs; add a `[[reserved]]` for it".to_owned());
    if board.console.interrupt.is_none() {
        open.push("the console's interrupt: the device tree gives none at the GIC; typing at the console needs it".to_owned());
    }
    let unknown = board.cpus.iter().find(|cpu| cpu.pa_bits.is_none());
    if let Some(cpu) = unknown {
        let kind = board.tree.string(cpu.node, "compatible").unwrap_or("?");
        open.push(format!("how many bits of physical address \"{kind}\" has: whether it reaches all memory is not checked"));
    }
    for one in board.iommus.iter().filter(|one| one.confines()) {
        match one.kind {
            IommuKind::SmmuV2 => open.push(format!("how many stream match registers and contexts {} has: an `[[iommu]]` table lets `check` see whether the partitions fit", one.path)),
            IommuKind::Ipmmu => open.push(format!("how many contexts {} has: an `[[iommu]]` table lets `check` see whether the partitions fit", one.path)),
            IommuKind::SmmuV3 => {}
            IommuKind::Unknown => open.push(format!("how to drive the IOMMU {}: devices behind it cannot be given away", one.path)),
        }
    }
    if board.iommus.iter().all(|one| !one.confines()) {
        open.push("whether the board has an IOMMU: the device tree enables none that works, so devices with DMA can only be given to partitions with `dma = \"trusted\"`".to_owned());
    }
    if draft.file.qemu.is_none() {
        open.push("whether firmware enters the image at EL2: at EL1 there is no hypervisor; the image says so on the console".to_owned());
    }
    open
}
