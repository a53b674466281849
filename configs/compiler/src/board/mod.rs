//! What the hypervisor must know about a board, all of it from its device tree and `board.toml`.

mod console;
mod cpus;
mod device;
mod dma;
mod file;
mod gic;
mod given;
mod iommu;
mod memory;
mod pci;
mod timer;

pub(crate) use console::{Layout, Uart, UartKind, VirtualUart};
pub(crate) use cpus::Cpu;
pub(crate) use device::{Device, Handover, Member};
pub(crate) use dma::Dma;
pub(crate) use gic::{CPU_INTERFACE_SIZE, END_INTID, Gic, GicKind};
pub(crate) use iommu::Iommu;
pub(crate) use memory::Memory;
pub(crate) use pci::{
    BUS_BYTES, FunctionAddress, FunctionPath, FunctionTerms, HostMsi, Pci, PciFunction, PciHost,
    Window,
};
pub(crate) use timer::Timers;

pub(crate) use file::read_qemu;
pub(crate) use given::read_memory;

pub use given::MemoryBank;

pub use file::{BoardToml, QemuMachine, TreeSource, read_board_toml};

use crate::codes::{self, Code};
use crate::devicetree::{NodeId, Tree, TreeError};
use crate::range::AddressRange;

/// Why a board cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BoardError {
    /// Its tree is malformed.
    #[error("the device tree is malformed: {0}")]
    Tree(#[from] TreeError),
    /// Its tree says nothing of something.
    #[error("the device tree has no {0}")]
    Lacks(&'static str),
    /// Neither its tree nor `board.toml` gives its RAM a size.
    #[error("the device tree has no memory node with a size")]
    NoMemory,
    /// It has no console, or one that is none.
    #[error("{0}")]
    Console(String),
    /// `board.toml` tells of an IOMMU that is none.
    #[error("`[[iommu]]` of board.toml names `{0}`, which is no IOMMU of the device tree")]
    NoIommu(String),
    /// A CPU cannot address all of its memory.
    #[error("{cpu} has {bits} bits of physical address, and there is memory at {bank}")]
    Beyond {
        cpu: String,
        bits: u8,
        bank: AddressRange,
    },
    /// `board.toml` tells of a v2m frame that is none.
    #[error("`[[v2m]]` of board.toml names `{0}`, which is no v2m frame of the device tree")]
    NoFrame(String),
    /// The image would be loaded outside its memory.
    #[error("the load address {0:#x} lies in no memory of the device tree")]
    Load(u64),
}

impl BoardError {
    pub fn code(&self) -> Code {
        match self {
            Self::Tree(_) => codes::BAD_DEVICE_TREE,
            Self::Lacks(_) | Self::NoMemory => codes::TREE_LACKS_FACT,
            Self::NoIommu(_) | Self::NoFrame(_) => codes::TREE_LACKS_FACT,
            Self::Beyond { .. } => codes::BAD_DEVICE_TREE,
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
            Self::NoMemory => {
                "write `memory` in board.toml, or use the device tree that firmware hands over: it fills the size in"
            }
            Self::NoIommu(_) | Self::NoFrame(_) => "correct `node`, or leave the table out",
            Self::Beyond { .. } => "correct the memory, in the device tree or in board.toml",
            Self::Console(_) => {
                "name a serial port of the board by `console` in board.toml, or let `/chosen/stdout-path` name it"
            }
            Self::Load(_) => "correct `load` in board.toml",
        }
    }
}

/// A board, read and checked.
#[derive(Debug)]
pub(crate) struct Board {
    pub name: String,
    /// One line about it.
    pub description: String,
    /// First string of the root's `compatible`.
    pub compatible: String,
    pub load: u64,
    pub memory: Memory,
    /// Enabled CPUs in the order of their nodes.
    pub cpus: Vec<Cpu>,
    /// `None` where all CPUs wait at a spin table, or nobody has to be started.
    pub psci: Option<NodeId>,
    pub gic: Gic,
    pub timers: Timers,
    pub console: Uart,
    pub virtual_uart: VirtualUart,
    /// In the order of their nodes, disabled ones included.
    pub iommus: Vec<Iommu>,
    pub qemu: Option<QemuMachine>,
    pub tree: Tree,
}

impl Board {
    /// Puts together what `board.toml` and the device tree say.
    ///
    /// # Errors
    /// Everything that is missing or malformed, all at once.
    pub fn from_tree(file: BoardToml, tree: Tree) -> Result<Self, Vec<BoardError>> {
        let mut errors = Vec::new();
        let mut note = |error| errors.push(error);

        let compatible = tree.string(Tree::ROOT, "compatible").map(str::to_owned);
        let compatible = compatible
            .ok_or(BoardError::Lacks("`compatible` at its root"))
            .map_err(&mut note)
            .ok();
        let memory = memory::read(&tree, &file).map_err(&mut note).ok();
        let cpus = cpus::read(&tree).map_err(&mut note).ok();
        if let (Some(memory), Some(cpus)) = (&memory, &cpus) {
            cpus::check_reach(&tree, cpus, &memory.banks).unwrap_or_else(&mut note);
        }
        let psci = cpus::psci(&tree, cpus.as_deref().unwrap_or_default())
            .map_err(&mut note)
            .ok();
        let gic = gic::read(&tree, &file.v2m).map_err(&mut note).ok();
        // Without a GIC no interrupt can be read: errors about them would only repeat the first.
        let node = gic.as_ref().map(|gic| gic.node);
        let timers = node.and_then(|gic| timer::read(&tree, gic).map_err(&mut note).ok());
        let console = node.and_then(|gic| {
            let console = console::read(&tree, gic, file.console.as_deref())
                .map_err(&mut note)
                .ok()?;
            let seen = console::virtual_uart(&tree, gic, &console);
            Some((console, seen.map_err(|error| note(error.into())).ok()?))
        });
        let iommus = node.and_then(|gic| {
            iommu::read(&tree, gic, &file.iommus)
                .map_err(&mut note)
                .ok()
        });

        match (compatible, memory, cpus, psci, gic, timers, console, iommus) {
            (
                Some(compatible),
                Some(memory),
                Some(cpus),
                Some(psci),
                Some(gic),
                Some(timers),
                Some((console, virtual_uart)),
                Some(iommus),
            ) => Ok(Self {
                name: file.name,
                description: file.description,
                compatible,
                load: file.load,
                memory,
                cpus,
                psci,
                gic,
                timers,
                console,
                virtual_uart,
                iommus,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Gic as TestGic, RAM, board, board_errors, board_toml, device, lab, virt};

    #[test]
    fn gicv3_board_gives_its_facts() {
        let board = board(virt(TestGic::V3));
        assert_eq!(board.ram_base(), RAM);
        assert_eq!(board.cpus.len(), 8);
        assert_eq!(board.gic.maintenance.get(), 25);
        let timers = [
            board.timers.physical,
            board.timers.virtual_,
            board.timers.hypervisor,
        ];
        assert_eq!(timers.map(|one| one.get()), [30, 27, 26]);
        assert_eq!(
            (board.console.registers.base, board.virtual_uart.intid.get()),
            (0x900_0000, 33)
        );
    }

    #[test]
    fn gicv2_board_gives_its_four_frames() {
        let board = board(virt(TestGic::V2));
        assert!(matches!(
            board.gic.kind,
            GicKind::V2 {
                distributor: 0x800_0000,
                cpu: 0x801_0000,
                control: 0x803_0000,
                virtual_cpu: 0x804_0000
            }
        ));
    }

    #[test]
    fn gicv2_without_virtualization_is_refused() {
        let mut tree = virt(TestGic::V2);
        let gic = tree.find("/intc").unwrap();
        tree.set_cells(
            gic,
            "reg",
            &[0, 0x800_0000, 0, 0x1_0000, 0, 0x801_0000, 0, 0x1_0000],
        );
        assert!(board_errors(&tree)[0].contains("GICH and GICV"));
    }

    #[test]
    fn split_redistributors_are_all_read() {
        let mut tree = virt(TestGic::V3);
        let gic = tree.find("/intc").unwrap();
        tree.set_cells(gic, "#redistributor-regions", &[2]);
        tree.set_cells(
            gic,
            "reg",
            &[
                0, 0x800_0000, 0, 0x1_0000, 0, 0x80a_0000, 0, 0x8_0000, 1, 0, 0, 0x8_0000,
            ],
        );
        let board = board(tree);
        assert!(
            matches!(&board.gic.kind, GicKind::V3 { redistributors, .. } if redistributors.len() == 2)
        );
    }

    #[test]
    fn disabled_cpu_is_not_counted() {
        let mut tree = virt(TestGic::V3);
        let cpu = tree.find("/cpus/cpu@3").unwrap();
        tree.set_string(cpu, "status", "disabled");
        let board = board(tree);
        assert_eq!(board.cpus.len(), 7);
        assert_eq!(board.cpus[3].mpidr.get(), 4);
    }

    #[test]
    fn two_cpus_of_one_affinity_are_refused() {
        let mut tree = virt(TestGic::V3);
        let cpu = tree.find("/cpus/cpu@3").unwrap();
        tree.set_cells(cpu, "reg", &[2]);
        assert!(board_errors(&tree)[0].contains("another CPU"));
    }

    #[test]
    fn psci_by_hvc_means_no_el2_and_is_refused() {
        let mut tree = virt(TestGic::V3);
        let psci = tree.find("/psci").unwrap();
        tree.set_string(psci, "method", "hvc");
        assert!(board_errors(&tree)[0].contains("SMC"));
    }

    #[test]
    fn memory_elsewhere_leaves_no_room_for_the_image() {
        let mut tree = virt(TestGic::V3);
        let memory = tree.find("/memory").unwrap();
        tree.set_cells(memory, "reg", &[0, 0x8000_0000, 0, 0x4000_0000]);
        assert!(board_errors(&tree)[0].contains("load address 0x40200000"));
    }

    #[test]
    fn timer_without_el2_interrupt_is_refused() {
        let mut tree = virt(TestGic::V3);
        let timer = tree.find("/timer").unwrap();
        tree.set_cells(timer, "interrupts", &[1, 13, 4, 1, 14, 4, 1, 11, 4]);
        assert!(board_errors(&tree)[0].contains("EL2 timer"));
    }

    #[test]
    fn device_is_found_by_alias_label_and_path() {
        let mut tree = lab();
        let symbols = tree.add(Tree::ROOT, "__symbols__");
        tree.set_string(symbols, "rtc0", "/pl031@9010000");
        let board = board(tree);
        assert!(board.device_node("serial0").is_some());
        assert_eq!(
            board.device_node("rtc0"),
            board.device_node("/pl031@9010000")
        );
        assert_eq!(board.device_node("rtc1"), None);
        assert_eq!(board.device_node("/"), None);
    }

    #[test]
    fn device_with_an_interrupt_that_no_distributor_has_is_refused() {
        let mut tree = virt(TestGic::V3);
        let far = device(&mut tree, "far@9100000", "arm,sp805", 0x910_0000, 970);
        let board = board(tree);
        assert!(matches!(
            board.device(far, &Handover::default()),
            Err(device::DeviceError::FarInterrupt(1002))
        ));
    }

    #[test]
    fn device_with_an_extended_interrupt_that_no_partition_can_have_is_refused_as_such() {
        for (gic, kind, expected) in [
            (TestGic::V2, 2, "4101 is an extended SPI"),
            (TestGic::V3, 3, "1061 is an extended PPI"),
        ] {
            let number = 5;
            let mut tree = virt(gic);
            let watchdog = device(&mut tree, "watchdog@9100000", "arm,sp805", 0x910_0000, 9);
            tree.set_cells(watchdog, "interrupts", &[kind, number, 4]);
            let board = board(tree);
            let refused = board.device(watchdog, &Handover::default()).unwrap_err();
            assert!(refused.to_string().contains(expected), "{refused}");
        }
    }

    #[test]
    fn memory_that_only_board_toml_knows_as_kept_is_reserved() {
        let tree = virt(TestGic::V3);
        let text = format!(
            "{}[[reserved]]\nbase = \"0x7ff00000\"\nsize = \"0x800\"\nowner = \"secure firmware\"\n",
            board_toml("test")
        );
        let file = read_board_toml(&text, std::path::Path::new("board.toml")).unwrap();
        let board = Board::from_tree(file, Tree::read(&tree.write()).unwrap()).unwrap();
        assert_eq!(
            board.memory.reserved,
            [(
                AddressRange::new(0x7ff0_0000, 0x1000).unwrap(),
                "secure firmware".to_owned()
            )]
        );
    }
}
