//! The device tree of a partition, made from its board's.
//!
//! It lists what the partition owns and nothing else. Nodes are copied where they describe what the guest sees as it is, and rewritten
//! where the guest sees less (interrupt controller, memory, CPUs). Everything stands directly under the root, with addresses as the
//! CPU sees them. Seeds for random numbers are left out: the same input gives the same tree.

use crate::board::{Board, Device, GicKind};
use crate::devicetree::{NodeId, Tree};
use crate::guest_gic;
use crate::range::AddressRange;
use crate::system::{Console, Partition};

/// All that the binding knows (Linux, arm/psci.yaml). Anything else that a board's node says is about the board.
const PSCI_PROPERTIES: [&str; 6] = [
    "compatible",
    "method",
    "cpu_suspend",
    "cpu_off",
    "cpu_on",
    "migrate",
];

/// Makes the device tree of a partition.
pub(crate) fn guest_tree(board: &Board, partition: &Partition) -> Tree {
    let mut tree = Tree::new();
    let root = Tree::ROOT;
    let gic_phandle = board.tree.phandle(board.gic.node).unwrap_or(1);
    tree.set_cells(root, "#address-cells", &[2]);
    tree.set_cells(root, "#size-cells", &[2]);
    copy(
        &mut tree,
        root,
        board,
        Tree::ROOT,
        &["model", "compatible", "dma-coherent"],
    );
    tree.set_cells(root, "interrupt-parent", &[gic_phandle]);

    let chosen = tree.add(root, "chosen");
    if let Some(cmdline) = &partition.image.cmdline {
        tree.set_string(chosen, "bootargs", cmdline);
    }
    if let Some(initrd) = partition.layout.initrd {
        tree.set_cells(chosen, "linux,initrd-start", &split(initrd.base));
        tree.set_cells(chosen, "linux,initrd-end", &split(initrd.end()));
    }
    memory(&mut tree, partition);
    cpus(&mut tree, board, partition.vcpus.len());
    let psci = tree.add(root, board.tree.name(board.psci));
    copy(&mut tree, psci, board, board.psci, &PSCI_PROPERTIES);
    interrupt_controller(&mut tree, board, partition.vcpus.len() as u64, gic_phandle);
    timer(&mut tree, board);

    let mut writer = DeviceWriter {
        tree: &mut tree,
        board,
        clocks: Vec::new(),
    };
    let mut console = None;
    if partition.console == Console::Virtual {
        console = Some(writer.virtual_uart());
    }
    for (index, device) in partition.devices.iter().enumerate() {
        let node = writer.device(device);
        if index == 0 && partition.console == Console::Device {
            console = Some(node);
        }
    }
    if let Some(console) = console {
        let path = tree.path(console);
        tree.set_string(chosen, "stdout-path", &path);
        let aliases = tree.add(root, "aliases");
        tree.set_string(aliases, "serial0", &path);
    }
    tree
}

/// An address or size as two cells.
fn split(value: u64) -> [u32; 2] {
    [(value >> 32) as u32, value as u32]
}

fn reg(ranges: &[AddressRange]) -> Vec<u32> {
    ranges
        .iter()
        .flat_map(|range| [split(range.base), split(range.size)])
        .flatten()
        .collect()
}

/// Copies the named properties of a board node.
fn copy(tree: &mut Tree, to: NodeId, board: &Board, from: NodeId, names: &[&str]) {
    for property in board
        .tree
        .properties(from)
        .iter()
        .filter(|one| names.contains(&one.name.as_str()))
    {
        tree.set(to, &property.name, property.value.clone());
    }
}

fn memory(tree: &mut Tree, partition: &Partition) {
    let memory = partition.memory;
    let node = tree.add(Tree::ROOT, format!("memory@{:x}", memory.base));
    tree.set_string(node, "device_type", "memory");
    tree.set_cells(node, "reg", &reg(&[memory]));
}

/// Virtual CPU n looks like the board's n-th CPU. Caches and operating points belong to the real machine and are left out.
fn cpus(tree: &mut Tree, board: &Board, count: usize) {
    let cpus = tree.add(Tree::ROOT, "cpus");
    if let Some(parent) = board
        .cpus
        .first()
        .and_then(|cpu| board.tree.parent(cpu.node))
    {
        // A missing property means 2 and 1 here, which suits no CPU; so the board has both, else its CPUs could not be read.
        copy(
            tree,
            cpus,
            board,
            parent,
            &["#address-cells", "#size-cells"],
        );
    }
    for cpu in board.cpus.iter().take(count) {
        let node = tree.add(cpus, board.tree.name(cpu.node));
        copy(
            tree,
            node,
            board,
            cpu.node,
            &["device_type", "compatible", "reg"],
        );
        tree.set_string(node, "enable-method", "psci");
    }
}

fn interrupt_controller(tree: &mut Tree, board: &Board, vcpus: u64, phandle: u32) {
    let (Some(distributor), Some(second)) = (
        guest_gic::distributor(board),
        guest_gic::cpu_interface(board).or_else(|| guest_gic::redistributors(board, vcpus)),
    ) else {
        return;
    };
    let name = format!(
        "{}@{:x}",
        board.tree.base_name(board.gic.node),
        distributor.base
    );
    let node = tree.add(Tree::ROOT, name);
    match &board.gic.kind {
        GicKind::V2 { .. } => copy(tree, node, board, board.gic.node, &["compatible"]),
        GicKind::V3 { .. } => tree.set_string(node, "compatible", "arm,gic-v3"),
    }
    tree.set_cells(node, "phandle", &[phandle]);
    // It has no children here, and interrupts that name it carry no address.
    tree.set_cells(node, "#address-cells", &[0]);
    tree.set_cells(node, "#interrupt-cells", &[3]);
    tree.set(node, "interrupt-controller", []);
    tree.set_cells(node, "reg", &reg(&[distributor, second]));
}

fn timer(tree: &mut Tree, board: &Board) {
    let node = tree.add(Tree::ROOT, board.tree.name(board.timers.node));
    copy(
        tree,
        node,
        board,
        board.timers.node,
        &["compatible", "always-on"],
    );
    tree.set_cells(node, "interrupts", &board.timers.specifiers.concat());
}

/// Writes device nodes and the clocks that they share.
struct DeviceWriter<'a> {
    tree: &'a mut Tree,
    board: &'a Board,
    /// Clocks that are in the tree already.
    clocks: Vec<NodeId>,
}

/// What a guest tree says in its own way, or not at all.
const REWRITTEN: &[&str] = &[
    "reg",
    "interrupts",
    "interrupts-extended",
    "interrupt-parent",
    "iommus",
    "status",
    "phandle",
    "linux,phandle",
    "name",
];
/// The rate of the virtual UART's clock where the board's own is not a fixed one. Nothing depends on it: no bit is ever timed.
const UART_CLOCK_HZ: u32 = 24_000_000;

impl DeviceWriter<'_> {
    /// A device that is passed through.
    fn device(&mut self, device: &Device) -> NodeId {
        let base = device.registers.first().map_or(0, |range| range.base);
        let name = format!("{}@{base:x}", self.board.tree.base_name(device.node));
        let node = self.tree.add(Tree::ROOT, name);
        for property in self.board.tree.properties(device.node) {
            if !REWRITTEN.contains(&property.name.as_str()) {
                self.tree.set(node, &property.name, property.value.clone());
            }
        }
        self.tree.set_cells(node, "reg", &reg(&device.registers));
        let specifiers: Vec<u32> = device.interrupts.iter().flat_map(|one| one.cells).collect();
        if !specifiers.is_empty() {
            self.tree.set_cells(node, "interrupts", &specifiers);
        }
        for clock in &device.clocks {
            self.clock(*clock);
        }
        node
    }

    /// The emulated PL011: the board's console with no more than what is emulated.
    fn virtual_uart(&mut self) -> NodeId {
        let uart = self.board.console;
        let name = format!(
            "{}@{:x}",
            self.board.tree.base_name(uart.node),
            uart.registers.base
        );
        let node = self.tree.add(Tree::ROOT, name);
        self.tree
            .set(node, "compatible", *b"arm,pl011\0arm,primecell\0");
        let page = AddressRange {
            size: 0x1000,
            ..uart.registers
        };
        self.tree.set_cells(node, "reg", &reg(&[page]));
        // SPI, level-sensitive.
        self.tree
            .set_cells(node, "interrupts", &[0, uart.interrupt.cells[1], 4]);
        let board_clocks = crate::board::clocks(&self.board.tree, uart.node).unwrap_or_default();
        let phandle = match board_clocks.as_slice() {
            [clock] => {
                self.clock(*clock);
                self.board.tree.phandle(*clock)
            }
            _ => None,
        };
        let phandle = phandle.unwrap_or_else(|| self.own_clock());
        self.tree.set_cells(node, "clocks", &[phandle, phandle]);
        self.tree.set(node, "clock-names", *b"uartclk\0apb_pclk\0");
        node
    }

    /// A fixed clock of the board, once.
    fn clock(&mut self, clock: NodeId) {
        if self.clocks.contains(&clock) {
            return;
        }
        self.clocks.push(clock);
        let node = self.tree.add(Tree::ROOT, self.board.tree.name(clock));
        let wanted = [
            "compatible",
            "#clock-cells",
            "clock-frequency",
            "clock-output-names",
            "phandle",
        ];
        copy(self.tree, node, self.board, clock, &wanted);
    }

    /// A fixed clock for the virtual UART; returns its phandle, one that the board's tree does not use.
    fn own_clock(&mut self) -> u32 {
        let used = |phandle: &u32| self.board.tree.by_phandle(*phandle).is_some();
        let phandle = (1..u32::MAX)
            .find(|phandle| !used(phandle))
            .unwrap_or(u32::MAX - 1);
        let node = self.tree.add(Tree::ROOT, "virtual-uart-clock");
        self.tree.set_string(node, "compatible", "fixed-clock");
        self.tree.set_cells(node, "#clock-cells", &[0]);
        self.tree
            .set_cells(node, "clock-frequency", &[UART_CLOCK_HZ]);
        self.tree.set_cells(node, "phandle", &[phandle]);
        phandle
    }
}
