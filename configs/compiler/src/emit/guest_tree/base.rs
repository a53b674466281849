//! What every partition sees in its own way: memory, CPUs, firmware interface, interrupt controller, timer, virtual console.

use super::{Guest, TooNarrow, messages};
use crate::devicetree::Tree;
use crate::guest_gic::GuestGic;
use crate::range::AddressRange;
use crate::system::Partition;

/// Everything but the console.
pub(super) fn write(guest: &mut Guest<'_>, partition: &Partition) -> Result<(), TooNarrow> {
    memory(guest, partition)?;
    cpus(guest, partition);
    psci(guest);
    interrupt_controller(guest, partition)?;
    timer(guest);
    Ok(())
}

fn memory(guest: &mut Guest<'_>, partition: &Partition) -> Result<(), TooNarrow> {
    let regions: Vec<AddressRange> = partition.memory.iter().map(|region| region.seen).collect();
    let reg = guest.cells.reg(&regions)?;
    let base = regions.first().map_or(0, |region| region.base);
    let node = guest.tree.add(Tree::ROOT, format!("memory@{base:x}"));
    guest.tree.set_string(node, "device_type", "memory");
    guest.tree.set_cells(node, "reg", &reg);
    Ok(())
}

/// Virtual CPU n has the number of the board's n-th CPU and is of the kind of the first CPU that it may run on. Caches, clocks and operating
/// points belong to the real machine and are left out.
fn cpus(guest: &mut Guest<'_>, partition: &Partition) {
    let board = guest.board;
    let cpus = guest.tree.add(Tree::ROOT, "cpus");
    if let Some(parent) = board
        .cpus
        .first()
        .and_then(|cpu| board.tree.parent(cpu.node))
    {
        // A missing property means 2 and 1 here, which suits no CPU; so the board has both, else its CPUs could not be read.
        guest.copy(parent, cpus, &["#address-cells", "#size-cells"]);
    }
    for (cpu, vcpu) in board.cpus.iter().zip(&partition.vcpus) {
        let node = guest.tree.add(cpus, board.tree.name(cpu.node));
        guest.copy(cpu.node, node, &["device_type", "reg"]);
        let runs_on = vcpu.cpus.first().and_then(|cpu| board.cpus.get(*cpu));
        let real = runs_on.unwrap_or(cpu);
        guest.copy(real.node, node, &["compatible"]);
        guest.tree.set_string(node, "enable-method", "psci");
    }
}

fn psci(guest: &mut Guest<'_>) {
    let board = guest.board;
    let Some(own) = board.psci else {
        // Without firmware at EL3 an SMC need not reach EL2 (Arm ARM D1.14, HCR_EL2.TSC).
        let node = guest.tree.add(Tree::ROOT, "psci");
        let tree = &mut guest.tree;
        tree.set(node, "compatible", *b"arm,psci-1.0\0arm,psci-0.2\0");
        tree.set_string(node, "method", "hvc");
        return;
    };
    let node = guest.tree.add(Tree::ROOT, board.tree.name(own));
    let names = [
        "compatible",
        "method",
        "cpu_suspend",
        "cpu_off",
        "cpu_on",
        "migrate",
    ];
    guest.copy(own, node, &names);
}

fn interrupt_controller(guest: &mut Guest<'_>, partition: &Partition) -> Result<(), TooNarrow> {
    let (board, gic) = (guest.board, partition.gic);
    let redistributors = gic.redistributors(partition.vcpus.len() as u64);
    let (Some(distributor), Some(second)) =
        (gic.distributor(), gic.cpu_interface().or(redistributors))
    else {
        return Ok(());
    };
    let reg = guest.cells.reg(&[distributor, second])?;
    let base_name = board.tree.base_name(board.gic.node);
    let name = format!("{base_name}@{:x}", distributor.base);
    let node = guest.tree.add(Tree::ROOT, name);
    match gic {
        GuestGic::V2 {
            cpu_emulated: false,
            ..
        } => guest.copy(board.gic.node, node, &["compatible"]),
        GuestGic::V2 { .. } => guest.tree.set_string(node, "compatible", "arm,gic-400"),
        GuestGic::V3 { .. } => guest.tree.set_string(node, "compatible", "arm,gic-v3"),
    }
    let tree = &mut guest.tree;
    tree.set_cells(node, "phandle", &[guest.gic]);
    tree.set_cells(node, "#interrupt-cells", &[3]);
    tree.set(node, "interrupt-controller", []);
    tree.set_cells(node, "reg", &reg);
    messages::write(guest, node, partition)
}

fn timer(guest: &mut Guest<'_>) {
    let board = guest.board;
    let name = board.tree.name(board.timers.node);
    let node = guest.tree.add(Tree::ROOT, name);
    guest.copy(board.timers.node, node, &["compatible", "always-on"]);
    let specifiers = board.timers.specifiers.concat();
    guest.tree.set_cells(node, "interrupts", &specifiers);
}

/// The rate of the virtual console's clock. Nothing depends on it: no bit is ever timed.
const CONSOLE_CLOCK_HZ: u64 = 24_000_000;

/// The emulated PL011, where the board has its console, with no more than what is emulated. Returns its node.
pub(super) fn virtual_console(
    guest: &mut Guest<'_>,
) -> Result<crate::devicetree::NodeId, TooNarrow> {
    let uart = guest.board.virtual_uart;
    let page = uart.page;
    let reg = guest.cells.reg(&[page])?;
    let clock = guest.fixed_clock(CONSOLE_CLOCK_HZ);
    let base_name = guest.board.tree.base_name(guest.board.console.node);
    let name = format!("{base_name}@{:x}", page.base);
    let tree = &mut guest.tree;
    let node = tree.add(Tree::ROOT, name);
    tree.set(node, "compatible", *b"arm,pl011\0arm,primecell\0");
    tree.set_cells(node, "reg", &reg);
    // SPI, level-sensitive.
    let number = uart.intid.get() - model::ids::IntId::FIRST_SPI;
    tree.set_cells(node, "interrupts", &[0, number, 4]);
    tree.set_cells(node, "clocks", &[clock, clock]);
    tree.set(node, "clock-names", *b"uartclk\0apb_pclk\0");
    Ok(node)
}
