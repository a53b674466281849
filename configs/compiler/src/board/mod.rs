//! What the hypervisor must know about a board, all of it from its device tree and `board.toml`.

mod console;
mod cpus;
mod device;
mod file;
mod gic;
mod memory;
mod timer;

pub(crate) use console::Uart;
pub(crate) use cpus::Cpu;
pub(crate) use device::{Device, clocks};
pub(crate) use gic::{Gic, GicKind};
pub(crate) use memory::Memory;
pub(crate) use timer::Timers;

pub use file::{BoardToml, QemuMachine, TreeSource, read_board_toml};

use crate::codes::{self, Code};
use crate::devicetree::{NodeId, Tree, TreeError};

/// Why a board cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BoardError {
    /// Its tree is malformed.
    #[error("the device tree is malformed: {0}")]
    Tree(#[from] TreeError),
    /// Its tree says nothing of something.
    #[error("the device tree has no {0}")]
    Lacks(&'static str),
    /// Its console is not one that can be driven.
    #[error("{0}")]
    Console(String),
    /// The image would be loaded outside its memory.
    #[error("the load address {0:#x} lies in no memory of the device tree")]
    Load(u64),
}

impl BoardError {
    pub fn code(&self) -> Code {
        match self {
            Self::Tree(_) => codes::BAD_DEVICE_TREE,
            Self::Lacks(_) => codes::TREE_LACKS_FACT,
            Self::Console(_) => codes::NO_CONSOLE,
            Self::Load(_) => codes::BAD_LOAD,
        }
    }

    pub fn help(&self) -> &'static str {
        match self {
            Self::Tree(_) => "take the tree from the board's firmware or kernel package again",
            Self::Lacks(_) => {
                "use a complete device tree of this board; the hypervisor takes every address from it"
            }
            Self::Console(_) => "let `/chosen/stdout-path` name a PL011 of the board",
            Self::Load(_) => "correct `load` in board.toml",
        }
    }
}

/// A board, read and checked.
#[derive(Debug)]
pub(crate) struct Board {
    pub name: String,
    /// First string of the root's `compatible`.
    pub compatible: String,
    pub load: u64,
    pub memory: Memory,
    /// Enabled CPUs in the order of their nodes.
    pub cpus: Vec<Cpu>,
    pub psci: NodeId,
    pub gic: Gic,
    pub timers: Timers,
    pub console: Uart,
    pub qemu: Option<QemuMachine>,
    pub tree: Tree,
}

impl Board {
    /// Puts together what `board.toml` and the device tree say.
    ///
    /// # Errors
    /// Everything that is missing or malformed, all at once.
    pub fn new(file: BoardToml, tree: &[u8]) -> Result<Self, Vec<BoardError>> {
        let tree = Tree::read(tree).map_err(|error| vec![error.into()])?;
        let mut errors = Vec::new();
        let mut note = |error| errors.push(error);

        let compatible = tree.string(Tree::ROOT, "compatible").map(str::to_owned);
        let compatible = compatible
            .ok_or(BoardError::Lacks("`compatible` at its root"))
            .map_err(&mut note)
            .ok();
        let memory = memory::read(&tree, file.load).map_err(&mut note).ok();
        let cpus = cpus::read(&tree).map_err(&mut note).ok();
        let psci = cpus::psci(&tree).map_err(&mut note).ok();
        let gic = gic::read(&tree).map_err(&mut note).ok();
        // Without a GIC no interrupt can be read: errors about them would only repeat the first.
        let node = gic.as_ref().map(|gic| gic.node);
        let timers = node.and_then(|gic| timer::read(&tree, gic).map_err(&mut note).ok());
        let console = node.and_then(|gic| console::read(&tree, gic).map_err(&mut note).ok());

        match (compatible, memory, cpus, psci, gic, timers, console) {
            (
                Some(compatible),
                Some(memory),
                Some(cpus),
                Some(psci),
                Some(gic),
                Some(timers),
                Some(console),
            ) => Ok(Self {
                name: file.name,
                compatible,
                load: file.load,
                memory,
                cpus,
                psci,
                gic,
                timers,
                console,
                qemu: file.qemu,
                tree,
            }),
            _ => Err(errors),
        }
    }

    /// Where a partition's memory begins for itself: the base of the board's RAM, as on the bare board.
    pub fn ram_base(&self) -> u64 {
        self.memory.banks.first().map_or(0, |bank| bank.base)
    }
}
