//! A PC and its first systems, drafted from the dump of its ACPI tables.

use std::fmt::Write as _;

use super::{Emulator, NewBoard, Request};
use crate::board::FunctionAddress;
use crate::codes;
use crate::diagnostics::{Diagnostic, Diagnostics};
use crate::pc::dump::{Dump, FILE, Facts, SeenFunction, soft_off};
use crate::range::{AddressRange, human_size};
use crate::raw::size::parse_address;
use crate::toml_text::{address, comment, numbers, quoted, size};

/// Where the image is linked.
const LOAD: &str = "0x200000";
/// COM1, where the tables name no console.
const USUAL_CONSOLE: u16 = 0x3f8;
/// RAM that a board must have for Linux beside another guest.
const LINUX_RAM: u64 = 512 << 20;
/// CPUs that Linux gets at most in a first system.
const LINUX_CPUS: usize = 4;
/// Class of bridges, in the upper byte.
const BRIDGE: u32 = 0x06;

/// What was found and chosen.
struct Draft<'a> {
    request: &'a Request<'a>,
    name: &'a str,
    facts: Facts,
    /// RAM of the board, as the dump or the command line has it.
    ram: Vec<AddressRange>,
    console: Console,
    /// What is written to PM1a_CNT.
    soft_off: Option<u16>,
}

/// Where the console is from.
enum Console {
    Tables(u16),
    Given(u16),
    Guess,
}

impl Console {
    fn port(&self) -> u16 {
        match self {
            Self::Tables(port) | Self::Given(port) => *port,
            Self::Guess => USUAL_CONSOLE,
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::Tables(_) => "as the tables name it",
            Self::Given(_) => "as `--console` says",
            Self::Guess => {
                "a guess: the tables have no SPCR and no DBG2 that names a 16550 at an I/O port"
            }
        }
    }
}

/// Drafts a PC.
///
/// # Errors
/// Everything that is wrong with the dump, or that it lacks.
pub(super) fn new_board(request: &Request<'_>) -> Result<NewBoard, Diagnostics> {
    let mut findings = Diagnostics::default();
    let dump = match Dump::read(request.tree, request.origin) {
        Ok(dump) => dump,
        Err(finding) => {
            findings.push(*finding);
            return Err(findings);
        }
    };
    let facts = Facts::of(&dump)?;
    let mut refuse = |code, message: &str, help: &str| {
        findings.push(
            Diagnostic::error(code, message)
                .in_file(request.origin)
                .help(help),
        );
    };
    let given = request.console.map(|text| {
        parse_address(text)
            .ok()
            .and_then(|port| u16::try_from(port).ok())
    });
    let console = match (given, facts.console) {
        (Some(Some(port)), _) => Console::Given(port),
        (Some(None), _) => {
            refuse(
                codes::NO_CONSOLE,
                "the console of a PC is an I/O port",
                "write `--console 0x3f8` for COM1",
            );
            Console::Guess
        }
        (None, Some(port)) => Console::Tables(port),
        (None, None) => Console::Guess,
    };
    let Some(name) = request.name else {
        refuse(
            codes::BAD_NAME,
            "ACPI tables do not name a board",
            "name it by `--name`",
        );
        return Err(findings);
    };
    if facts.cpus.is_empty() {
        refuse(
            codes::BAD_TABLES,
            "the dump has no MADT with a CPU in it",
            "dump the tables anew: the MADT is called APIC",
        );
    }
    let given = request
        .memory
        .iter()
        .filter_map(|bank| AddressRange::new(bank.base, bank.size));
    let given: Vec<AddressRange> = given.collect();
    let ram = if given.is_empty() {
        facts.ram.clone()
    } else {
        given
    };
    if ram.is_empty() {
        refuse(
            codes::BAD_TABLES,
            "the dump has no memory map",
            "take x86-port/boards/dump.sh, or say how much RAM there is: `--memory 0x100000+1023MiB`, once for each bank",
        );
    }
    if findings.has_errors() {
        return Err(findings);
    }
    let draft = Draft {
        request,
        name,
        facts,
        ram,
        console,
        soft_off: soft_off(&dump),
    };
    Ok(NewBoard {
        name: name.to_owned(),
        board_toml: board_toml(&draft),
        systems: systems(&draft),
        facts: at_a_glance(&draft),
        open: open(&draft),
        tables: Some(dump.text()),
    })
}

/// Writing to a string cannot fail.
fn board_toml(draft: &Draft<'_>) -> String {
    let request = draft.request;
    let mut out = comment(&format!(
        "Drafted by `cargo xtask new-board` from {}. docs/reference.md explains the fields.",
        request.origin.display()
    ));
    out += "# What no table says is listed at the end: read it before you trust a choice.\n";
    let description = match request.machine {
        Some(Emulator { machine, .. }) => format!("QEMU {machine}"),
        None => format!("a PC with {} CPUs", draft.facts.cpus.len()),
    };
    let _ = writeln!(
        out,
        "name = {}\ndescription = {}",
        quoted(draft.name),
        quoted(&description)
    );
    let _ = writeln!(out, "# Where the image is linked.\nload = \"{LOAD}\"");
    for bank in request.memory {
        out += "\n# As `--memory` says.\n[[memory]]\n";
        let _ = writeln!(
            out,
            "base = {}\nsize = {}",
            address(bank.base),
            size(bank.size)
        );
    }
    let _ = writeln!(
        out,
        "\n# CPUs, RAM and VT-d units are as the tables say.\n[pc]\ntables = \"{FILE}\""
    );
    if !matches!(draft.console, Console::Tables(_)) {
        let console = &draft.console;
        out += &comment(&format!("The console is {}.", console.reason()));
        let _ = writeln!(out, "console = {}", address(console.port().into()));
    }
    if let (Some(value), Some(_)) = (draft.soft_off, draft.facts.control) {
        out += "# `SLP_EN` with the type that \\_S5 of the DSDT names. The FADT says where it is written.\n";
        let _ = writeln!(out, "power_off = {{ value = {} }}", address(value.into()));
    }
    out += "# What partitions may own, by devices = [\"00:04.0\"]. Remove the `#` of those that you give away.\nfunctions = [\n";
    for function in candidates(draft) {
        let [vendor, device, class] = function.identity;
        let what = format!("{vendor:04x}:{device:04x}, class {class:06x}");
        let _ = match unfit(draft, function) {
            None => writeln!(
                out,
                "#   {{ function = \"{}\" }}, # {what}",
                function.address
            ),
            Some(why) => writeln!(
                out,
                "#   {} cannot be given away: {why} ({what})",
                function.address
            ),
        };
    }
    out += "]\n";
    if let Some(machine) = &request.machine {
        out += "\n# `cargo xtask run` starts this machine.\n[qemu]\n";
        let cpu = machine.cpu.unwrap_or("max");
        let _ = writeln!(
            out,
            "machine = {}\ncpu = {}",
            quoted(machine.machine),
            quoted(cpu)
        );
        if let Some(cpus) = machine.cpus {
            let _ = writeln!(out, "cpus = {cpus}");
        }
        let _ = writeln!(out, "memory = {}", size(machine.memory_bytes));
        if !machine.devices.is_empty() {
            let devices: Vec<String> = machine
                .devices
                .iter()
                .map(|device| quoted(device))
                .collect();
            let _ = writeln!(out, "devices = [{}]", devices.join(", "));
        }
    }
    out += "\n# What no table says, and you must find out:\n";
    for one in open(draft) {
        out += &comment(&format!("- {one}"));
    }
    out
}

/// Functions that are no bridges, on the first bus.
fn candidates<'a>(draft: &'a Draft<'_>) -> impl Iterator<Item = &'a SeenFunction> {
    let functions = draft.facts.functions.iter();
    functions.filter(|one| one.address.bus == 0 && one.identity[2] >> 16 != BRIDGE)
}

/// Why a function cannot be given away.
fn unfit(draft: &Draft<'_>, function: &SeenFunction) -> Option<&'static str> {
    let address: FunctionAddress = function.address;
    if draft.facts.unit_of(address).is_none() {
        Some("no VT-d unit confines it")
    } else if draft.facts.reserved_for(address).is_some() {
        Some("firmware has it use memory (RMRR)")
    } else if function.placeable().is_none() {
        Some("it has BARs for memory that are not of 32 bits, or less than a page")
    } else {
        None
    }
}

fn at_a_glance(draft: &Draft<'_>) -> Vec<(&'static str, String)> {
    let facts = &draft.facts;
    let cpus: Vec<String> = facts.cpus.iter().map(u32::to_string).collect();
    let bank = |bank: &AddressRange| format!("{} at {:#x}", human_size(bank.size), bank.base);
    let ram: Vec<String> = draft.ram.iter().map(bank).collect();
    let units: Vec<String> = facts
        .units
        .iter()
        .map(|unit| format!("VT-d at {:#x}", unit.registers))
        .collect();
    let off = match (facts.control, draft.soft_off) {
        (Some(port), Some(value)) => format!("{value:#x} to port {port:#x}"),
        _ => "not known".to_owned(),
    };
    let mut glance = vec![
        ("board", "a PC".to_owned()),
        (
            "CPUs",
            format!("{} (x2APIC {})", cpus.len(), cpus.join(", ")),
        ),
        ("RAM", ram.join(", ")),
        (
            "console",
            format!(
                "16550 at port {:#x}, {}",
                draft.console.port(),
                draft.console.reason()
            ),
        ),
        (
            "IOMMUs",
            if units.is_empty() {
                "none".to_owned()
            } else {
                units.join(", ")
            },
        ),
        ("power off", off),
        ("image at", LOAD.to_owned()),
    ];
    if let Some(machine) = &draft.request.machine {
        glance.push((
            "QEMU",
            format!(
                "-M {} -cpu {}",
                machine.machine,
                machine.cpu.unwrap_or("max")
            ),
        ));
    }
    glance
}

/// What a human must find out, most important first.
fn open(draft: &Draft<'_>) -> Vec<String> {
    let mut open = Vec::new();
    if matches!(draft.console, Console::Guess) {
        open.push(format!(
            "the console: port {USUAL_CONSOLE:#x} is {}",
            draft.console.reason()
        ));
    }
    if draft.request.machine.is_none() {
        open.push("whether the CPUs have AMD SVM with nested paging, and x2APIC: the image says so on the console where they do not".to_owned());
    }
    open.push("whether the image is started as the Linux was that made the dump: another loader, or firmware with other settings, keeps other memory. The image compares its own memory with the loader's map".to_owned());
    if draft.facts.control.is_none() || draft.soft_off.is_none() {
        open.push("how the board is turned off: the tables do not say it in a form that can be read without running AML; without `power_off` its CPUs wait for ever at the end".to_owned());
    }
    if draft.facts.units.is_empty() {
        open.push(
            "whether firmware can turn VT-d on: there is no DMAR, so no device can be given away"
                .to_owned(),
        );
    }
    open
}

fn systems(draft: &Draft<'_>) -> Vec<(&'static str, String)> {
    let mut systems = vec![("hello.toml", hello(draft))];
    let ram: u64 = draft.ram.iter().map(|bank| bank.size).sum();
    if ram >= LINUX_RAM {
        systems.push(("linux.toml", linux(draft)));
    }
    systems
}

fn system(draft: &Draft<'_>, name: &str, what: &str) -> String {
    format!(
        "{}\n[system]\nname = {}\nboard = {}\n",
        comment(what),
        quoted(name),
        quoted(draft.name)
    )
}

fn pool(name: &str, cpus: &[usize]) -> String {
    format!(
        "\n[pools.{name}]\npolicy = \"dedicated\"\ncpus = {}\n",
        numbers(cpus)
    )
}

fn guest(name: &str, image: &str) -> String {
    format!(
        "\n[[partition]]\nname = \"{name}\"\npool = \"{name}\"\nmemory = \"16MiB\"\nimage = \"guest:{image}\"\nconsole = \"virtual\"\n"
    )
}

fn hello(draft: &Draft<'_>) -> String {
    let what = "The smallest system: one guest on one CPU. It proves the boot and the console.";
    system(draft, "hello", what) + &pool("hello", &[0]) + &guest("hello", "pc-hello")
}

/// Linux on most CPUs, a guest with a timer on the last one where there are several.
fn linux(draft: &Draft<'_>) -> String {
    let cpus = draft.facts.cpus.len();
    let beside = cpus > 1;
    let last = cpus.saturating_sub(1).min(LINUX_CPUS);
    let own: Vec<usize> = (0..last.max(1)).collect();
    let mut out = system(
        draft,
        "linux",
        "Linux, and where there is a second CPU a guest with a timer of its own there.",
    );
    out += &pool("linux", &own);
    if beside {
        out += &pool("clock", &[last]);
    }
    let _ = write!(
        out,
        "\n[[partition]]\nname = \"linux\"\npool = \"linux\"\nvcpus = {}\nmemory = \"256MiB\"\n\
         image = {{ kernel = \"debian:linux-image-cloud-amd64\", initrd = \"busybox\", cmdline = \"console=ttyS0,115200\" }}\n\
         console = \"virtual\"\non_fault = \"restart\"\n",
        own.len()
    );
    if beside {
        out += &guest("clock", "pc-clock");
    }
    out
}
