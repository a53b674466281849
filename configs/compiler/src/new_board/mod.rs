//! A board and its first systems, drafted from a device tree, or for a PC from a dump of its ACPI tables.
//!
//! What the tree says is taken; what it leaves open is chosen, and each choice says why, in the drafted files themselves. What cannot be
//! known from a tree at all is listed. A board that the hypervisor cannot run on is refused, with every reason at once.

mod choose;
mod facts;
mod pc;
mod write;

use std::path::{Path, PathBuf};

use crate::board::{Board, BoardError, BoardToml, MemoryBank, QemuMachine, TreeSource};
use crate::codes;
use crate::devicetree::Tree;
use crate::diagnostics::{Diagnostic, Diagnostics};
use crate::pc::dump::Dump;
pub use crate::pc::dump::FILE as TABLES_FILE;
use crate::raw::size::{parse_address, parse_size};

/// What is known before the tree is looked at.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// The flattened device tree, or a PC's dump.
    pub tree: &'a [u8],
    /// Where it came from, as findings and comments show it.
    pub origin: &'a Path,
    /// What `[tree]` of the board file will say.
    pub source: TreeSource,
    /// The board's name; without it the tree's first `compatible` gives one.
    pub name: Option<&'a str>,
    /// Where the boot loader puts the image.
    pub load: Option<u64>,
    /// The console: label, alias or path; of a PC the I/O port.
    pub console: Option<&'a str>,
    /// All RAM, where the tree does not tell.
    pub memory: &'a [MemoryBank],
    /// The QEMU machine that is the board.
    pub machine: Option<Emulator<'a>>,
}

/// A QEMU machine.
#[derive(Clone, Copy, Debug)]
pub struct Emulator<'a> {
    /// Its `-machine`.
    pub machine: &'a str,
    /// Its `-cpu`, where that is not what the tree names.
    pub cpu: Option<&'a str>,
    /// Its `-smp`; `None`: as many as the tree lists.
    pub cpus: Option<u32>,
    /// Its `-m` in bytes.
    pub memory_bytes: u64,
    /// Its `-device`, each.
    pub devices: &'a [String],
}

/// What was drafted.
#[derive(Clone, Debug)]
pub struct NewBoard {
    /// The board's name: its folder's.
    pub name: String,
    /// Text of `board.toml`.
    pub board_toml: String,
    /// File names and texts of systems for it.
    pub systems: Vec<(&'static str, String)>,
    /// What was found, each with what it is.
    pub facts: Vec<(&'static str, String)>,
    /// What no device tree says and a human must know.
    pub open: Vec<String>,
    /// It is a PC: the text of the dump that is kept beside `board.toml` as [`TABLES_FILE`].
    pub tables: Option<String>,
}

/// Drafts a board.
///
/// # Errors
/// Everything that keeps the hypervisor from running on it, as far as the tree says.
pub fn new_board(request: &Request<'_>) -> Result<NewBoard, Diagnostics> {
    if Dump::is_one(request.tree) {
        return pc::new_board(request);
    }
    let refuse = |errors: Vec<BoardError>| {
        let mut findings = Diagnostics::default();
        for error in errors {
            findings.push(refusal(request, &error));
        }
        findings
    };
    let tree = Tree::read(request.tree).map_err(|error| refuse(vec![error.into()]))?;
    let draft = choose::draft(request, &tree).map_err(refuse)?;
    Ok(NewBoard {
        name: draft.board.name.clone(),
        board_toml: write::board_toml(request, &draft),
        systems: write::systems(&draft.board),
        facts: facts::facts(&draft),
        open: facts::open(&draft),
        tables: None,
    })
}

/// Reads a bank of RAM as `new-board` takes it: `0x80000000+2GiB`.
pub fn parse_memory(text: &str) -> Option<MemoryBank> {
    let (base, size) = text.split_once('+')?;
    let (base, size) = (parse_address(base).ok()?, parse_size(size).ok()?);
    base.checked_add(size)?;
    (size > 0).then_some(MemoryBank { base, size })
}

/// Reads an address as system files have it: `0x4020_0000`.
pub fn parse_load(text: &str) -> Option<u64> {
    parse_address(text).ok()
}

/// A board file with its board, and why it says what it says.
struct Draft {
    file: BoardToml,
    board: Board,
    /// Why the console is the one it is, and whether that is a guess.
    console: choose::Reason,
    /// Why the image goes where it goes.
    load: choose::Reason,
}

fn refusal(request: &Request<'_>, error: &BoardError) -> Diagnostic {
    let help = match error {
        BoardError::NoMemory => {
            "say how much there is: `--memory 0x80000000+2GiB`, once for each bank; or take the device tree that firmware hands over: on a running Linux it is /sys/firmware/fdt"
        }
        BoardError::Console(_) => {
            "name a serial port by `--console`: a label, an alias or a full path"
        }
        BoardError::Load(_) => "name a multiple of 2 MiB in RAM by `--load`",
        BoardError::Lacks(what) if what.starts_with("PSCI") || what.starts_with("node of PSCI") => {
            "the firmware below must start CPUs by PSCI through SMC (Arm DEN 0022); use one that does, as Trusted Firmware-A"
        }
        other => other.help(),
    };
    let code = match error {
        BoardError::NoMemory => codes::TREE_LACKS_FACT,
        other => other.code(),
    };
    Diagnostic::error(code, format!("this board cannot be used: {error}"))
        .in_file(request.origin)
        .help(help)
}

/// The file of the draft as it would be read back.
fn file(request: &Request<'_>, name: String, description: String) -> BoardToml {
    BoardToml {
        name,
        description,
        load: request.load.unwrap_or_default(),
        console: request.console.map(str::to_owned),
        memory: request.memory.to_vec(),
        reserved: Vec::new(),
        iommus: Vec::new(),
        v2m: Vec::new(),
        tree: request.source.clone(),
        qemu: None,
    }
}

/// The machine of the draft, with the CPU type of the tree.
fn machine(request: &Request<'_>, board: &Board) -> Option<QemuMachine> {
    let emulator = request.machine?;
    let first = board.cpus.first()?;
    let compatible = board.tree.string(first.node, "compatible");
    let model = compatible.and_then(|name| name.strip_prefix("arm,"));
    Some(QemuMachine {
        machine: emulator.machine.to_owned(),
        cpu: match (emulator.cpu, model) {
            (Some(cpu), _) => cpu.to_owned(),
            // A name for what emulators and models have.
            (None, Some("armv8") | None) => "max".to_owned(),
            (None, Some(model)) => model.to_owned(),
        },
        cpus: emulator.cpus.or(Some(board.cpus.len() as u32)),
        memory_bytes: emulator.memory_bytes,
        serial: port(board),
        devices: emulator.devices.to_vec(),
    })
}

/// Which of QEMU's serial ports the console is: boards number them by aliases, and QEMU in the same order.
fn port(board: &Board) -> u32 {
    let console = Some(board.console.node);
    let aliases = 0..10;
    let is_console = |number: &u32| board.tree.named(&format!("serial{number}")) == console;
    aliases.into_iter().find(is_console).unwrap_or(0)
}

/// The file that `[tree]` names when the tree is kept beside `board.toml`.
pub const TREE_FILE: &str = "board.dtb";

/// The source of a tree that is kept beside `board.toml`.
pub fn kept_tree() -> TreeSource {
    TreeSource::File(PathBuf::from(TREE_FILE))
}

#[cfg(test)]
mod tests;
