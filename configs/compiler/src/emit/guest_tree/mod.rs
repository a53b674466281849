//! The device tree of a partition, made from its board's.
//!
//! It lists what the partition owns and nothing else. What every partition sees in its own way (memory, CPUs, interrupt controller,
//! timer, virtual console) stands under the root. Devices keep their place: their paths, their buses with `ranges` and `dma-ranges`,
//! and so their `reg`, are the board's. Phandles are the board's, too. Seeds for random numbers are left out: the same input gives the
//! same tree.

mod base;
mod cells;
mod channels;
mod copy;
mod finding;
mod messages;
mod notices;
mod overlay;
mod owned;
mod pci;
mod proof;

pub(crate) use finding::proven_tree;

use cells::{Cells, TooNarrow};
use copy::Copier;
use owned::Owned;

use crate::board::Board;
use crate::devicetree::{NodeId, Tree};
use crate::system::{Console, Partition};

/// Makes the device tree of a partition.
///
/// # Errors
/// An address that the cells of the board's root cannot hold.
fn guest_tree(board: &Board, partition: &Partition) -> Result<Tree, TooNarrow> {
    let mut guest = Guest::new(board);
    let chosen = guest.tree.add(Tree::ROOT, "chosen");
    base::write(&mut guest, partition)?;
    let mut copier = Copier::new(&mut guest, partition);
    copier.supplies();
    let devices = copier.devices();
    copier.finish();
    channels::write(&mut guest, partition)?;
    notices::write(&mut guest, partition)?;

    let console = match partition.console {
        Console::Virtual => Some((base::virtual_console(&mut guest)?, None)),
        Console::Device => devices.first().map(|node| {
            let is_boards =
                partition.devices.first().map(|one| one.node) == Some(board.console.node);
            (*node, is_boards.then(|| console_options(board)).flatten())
        }),
        Console::None => None,
    };
    guest.chosen(chosen, partition, console);
    guest.aliases(console.map(|(node, _)| node));
    Ok(guest.tree)
}

/// What follows the colon in the board's `stdout-path`: the console's line settings.
fn console_options(board: &Board) -> Option<&str> {
    let chosen = board.tree.find("/chosen")?;
    let path = board.tree.string(chosen, "stdout-path")?;
    path.split_once(':').map(|(_, options)| options)
}

/// A guest tree in the making.
struct Guest<'a> {
    board: &'a Board,
    tree: Tree,
    /// How addresses and sizes are written under the root.
    cells: Cells,
    /// Phandle of the interrupt controller.
    gic: u32,
    /// The next phandle that may be free.
    next_phandle: u32,
}

impl<'a> Guest<'a> {
    fn new(board: &'a Board) -> Self {
        let mut guest = Self {
            board,
            tree: Tree::new(),
            cells: Cells::of_root(&board.tree),
            gic: 0,
            next_phandle: 1,
        };
        guest.gic = match board.tree.phandle(board.gic.node) {
            Some(phandle) => phandle,
            None => guest.fresh_phandle(),
        };
        let root = Tree::ROOT;
        let cells = guest.cells;
        guest
            .tree
            .set_cells(root, "#address-cells", &[cells.address]);
        guest.tree.set_cells(root, "#size-cells", &[cells.size]);
        guest.copy(root, root, &["model", "compatible", "dma-coherent"]);
        guest.tree.set_cells(root, "interrupt-parent", &[guest.gic]);
        guest
    }

    /// A phandle that neither the board's tree nor this one uses.
    fn fresh_phandle(&mut self) -> u32 {
        while self.board.tree.by_phandle(self.next_phandle).is_some() {
            self.next_phandle += 1;
        }
        self.next_phandle += 1;
        self.next_phandle - 1
    }

    /// Copies the named properties of a board node.
    fn copy(&mut self, from: NodeId, to: NodeId, names: &[&str]) {
        for property in self.board.tree.properties(from) {
            if names.contains(&property.name.as_str()) {
                self.tree.set(to, &property.name, property.value.clone());
            }
        }
    }

    /// A fixed clock under the root; returns its phandle.
    fn fixed_clock(&mut self, hertz: u64) -> u32 {
        let wanted = format!("clock-{hertz}");
        let taken = |name: &str| self.board.tree.child(Tree::ROOT, name).is_some();
        let name = match taken(&wanted) {
            true => format!("fixed-{wanted}"),
            false => wanted,
        };
        let phandle = self.fresh_phandle();
        let node = self.tree.add(Tree::ROOT, name);
        self.tree.set_string(node, "compatible", "fixed-clock");
        self.tree.set_cells(node, "#clock-cells", &[0]);
        // The binding has one cell; the schema's frequencies fit it.
        let hertz = u32::try_from(hertz).unwrap_or(u32::MAX);
        self.tree.set_cells(node, "clock-frequency", &[hertz]);
        self.tree.set_cells(node, "phandle", &[phandle]);
        phandle
    }

    fn chosen(
        &mut self,
        chosen: NodeId,
        partition: &Partition,
        console: Option<(NodeId, Option<&str>)>,
    ) {
        let tree = &mut self.tree;
        if let Some(cmdline) = &partition.image.cmdline {
            tree.set_string(chosen, "bootargs", cmdline);
        }
        if let Some(initrd) = partition.layout.initrd {
            // Read by their length, whatever the cells of the root are.
            tree.set_cells(chosen, "linux,initrd-start", &cells::pair(initrd.base));
            tree.set_cells(chosen, "linux,initrd-end", &cells::pair(initrd.end()));
        }
        if let Some((node, options)) = console {
            let path = match options {
                Some(options) => format!("{}:{options}", tree.path(node)),
                None => tree.path(node),
            };
            tree.set_string(chosen, "stdout-path", &path);
        }
    }

    /// The console is the first serial port; of the board's aliases those are kept whose device is here.
    fn aliases(&mut self, console: Option<NodeId>) {
        const FIRST: &str = "serial0";
        let mut aliases = Vec::new();
        if let Some(node) = console {
            aliases.push((FIRST.to_owned(), self.tree.path(node)));
        }
        let board = &self.board.tree;
        let table = board.find("/aliases");
        for alias in table.map_or(&[][..], |table| board.properties(table)) {
            let path = table.and_then(|table| board.string(table, &alias.name));
            let path = path.filter(|path| self.tree.find(path).is_some());
            match path {
                Some(path) if console.is_none() || alias.name != FIRST => {
                    aliases.push((alias.name.clone(), path.to_owned()));
                }
                _ => {}
            }
        }
        if aliases.is_empty() {
            return;
        }
        let node = self.tree.add(Tree::ROOT, "aliases");
        for (name, path) in aliases {
            self.tree.set_string(node, &name, &path);
        }
    }
}
