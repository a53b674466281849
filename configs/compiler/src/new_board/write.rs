//! The text of the drafted files.

use std::fmt::Write as _;

use super::{Draft, Request, facts};
use crate::board::{Board, TreeSource};
use crate::range::AddressRange;
use crate::toml_text::{address, comment, numbers, quoted, size};

/// Where the Rust guests of this checkout are linked to run, and how much memory they get.
const GUEST_RAM: u64 = 0x4000_0000;
const GUEST_MEMORY: u64 = 16 << 20;
/// RAM that a board must have for Linux beside another guest.
const LINUX_RAM: u64 = 512 << 20;
/// CPUs that Linux gets at most in a first system.
const LINUX_CPUS: usize = 4;

/// `board.toml`. Writing to a string cannot fail.
pub(super) fn board_toml(request: &Request<'_>, draft: &Draft) -> String {
    let (file, board) = (&draft.file, &draft.board);
    let mut out = comment(&format!(
        "Drafted by `cargo xtask new-board` from {}. docs/boards.md explains the fields.",
        request.origin.display()
    ));
    out += "# What no device tree says is listed at the end: read it before you trust a choice.\n";
    let _ = writeln!(out, "name = {}", quoted(&file.name));
    let _ = writeln!(out, "description = {}", quoted(&file.description));
    out += "\n";
    out += &comment(&format!(
        "Where the boot loader puts the image. {}",
        draft.load.text
    ));
    let _ = writeln!(out, "load = {}", address(file.load));
    out += "\n";
    out += &comment(&format!(
        "The console is {}. {}",
        facts::console(board),
        draft.console.text
    ));
    if let Some(console) = &file.console {
        let _ = writeln!(out, "console = {}", quoted(console));
    }
    if file.memory.is_empty() {
        out += "\n# RAM is as the device tree says. Where firmware fills it in: one [[memory]] with `base` and `size` for each bank.\n";
    }
    for bank in &file.memory {
        out +=
            "\n# As `--memory` says; the device tree's own memory is not looked at.\n[[memory]]\n";
        let _ = writeln!(
            out,
            "base = {}\nsize = {}",
            address(bank.base),
            size(bank.size)
        );
    }
    out +=
        "\n# Memory that secure firmware keeps and the device tree does not reserve goes here:\n";
    out += "# [[reserved]]\n# base = \"0x7e000000\"\n# size = \"32MiB\"\n# owner = \"OP-TEE\"\n";
    out += "\n[tree]\n";
    match &file.tree {
        TreeSource::Qemu => {
            out += "# Read from the machine below, as QEMU generates it.\nqemu = true\n"
        }
        TreeSource::File(path) => {
            let path = path.display().to_string();
            let _ = writeln!(out, "file = {}", quoted(&path));
        }
        TreeSource::Package { package, path } => {
            let path = path.display().to_string();
            let _ = writeln!(
                out,
                "package = {}\npath = {}",
                quoted(package),
                quoted(&path)
            );
        }
        TreeSource::Source { package, path } => {
            let path = path.display().to_string();
            let _ = writeln!(
                out,
                "source = {}\npath = {}",
                quoted(package),
                quoted(&path)
            );
        }
    }
    if let Some(machine) = &file.qemu {
        out += "\n# `cargo xtask run` starts this machine.\n[qemu]\n";
        let _ = writeln!(
            out,
            "machine = {}\ncpu = {}",
            quoted(&machine.machine),
            quoted(&machine.cpu)
        );
        if let Some(cpus) = machine.cpus {
            let _ = writeln!(out, "cpus = {cpus}");
        }
        let _ = writeln!(out, "memory = {}", size(machine.memory_bytes));
        if machine.serial > 0 {
            let _ = writeln!(
                out,
                "# By its alias; QEMU numbers its ports as boards do.\nserial = {}",
                machine.serial
            );
        }
    }
    out += "\n# What no device tree says, and you must find out:\n";
    for one in facts::open(draft) {
        out += &comment(&format!("- {one}"));
    }
    out
}

/// The first systems: the smallest one, and Linux beside a real-time guest where the board is large enough.
pub(super) fn systems(board: &Board) -> Vec<(&'static str, String)> {
    let mut systems = Vec::new();
    let guest = guest_fits(board);
    if guest {
        systems.push(("hello.toml", hello(board)));
    }
    let ram: u64 = board.memory.banks.iter().map(|bank| bank.size).sum();
    if ram >= LINUX_RAM {
        systems.push(("linux.toml", linux(board, guest)));
    }
    systems
}

/// The guests of this checkout see their memory at a fixed address, where the board's GIC and console must not be.
fn guest_fits(board: &Board) -> bool {
    let memory = AddressRange {
        base: GUEST_RAM,
        size: GUEST_MEMORY,
    };
    let frames = board.gic.registers.iter();
    let mut seen = frames.chain([&board.virtual_uart.page]);
    !seen.any(|range| range.overlaps(memory))
}

fn system(board: &Board, name: &str, what: &str) -> String {
    format!(
        "{}\n[system]\nname = {}\nboard = {}\n",
        comment(what),
        quoted(name),
        quoted(&board.name)
    )
}

fn pool(name: &str, cpus: &[usize]) -> String {
    format!(
        "\n[pools.{name}]\npolicy = \"dedicated\"\ncpus = {}\n",
        numbers(cpus)
    )
}

/// A guest of this checkout.
fn guest(board: &Board, name: &str, image: &str) -> String {
    let memory = if board.ram_base() == GUEST_RAM {
        format!("memory = {}\n", size(GUEST_MEMORY))
    } else {
        format!(
            "# The guest is linked for this address; its memory lies elsewhere on the board.\nmemory = {{ size = {}, at = {} }}\n",
            size(GUEST_MEMORY),
            address(GUEST_RAM)
        )
    };
    format!(
        "\n[[partition]]\nname = {0}\npool = {0}\n{memory}image = \"guest:{image}\"\nconsole = \"virtual\"\n",
        quoted(name)
    )
}

/// What the first boot of a board should do.
const SELF_CHECK: &str = "
# The image checks the board line by line before it starts the guest.
[hypervisor]
self_check = true
";

fn hello(board: &Board) -> String {
    let what = "The smallest system: one guest on one CPU. It proves the boot, the console, the interrupt controller and the timer.";
    system(board, "hello", what)
        + SELF_CHECK
        + &pool("hello", &[0])
        + &guest(board, "hello", "hello")
}

/// Linux on most CPUs, a real-time guest on the last one where there are several.
fn linux(board: &Board, has_guest: bool) -> String {
    let beside = has_guest && board.cpus.len() > 1;
    let last = board.cpus.len().saturating_sub(1).min(LINUX_CPUS);
    let cpus: Vec<usize> = (0..if beside { last } else { last + 1 }.clamp(1, LINUX_CPUS)).collect();
    let what = if beside {
        "Linux, and a real-time guest on a CPU of its own. Linux has no device of the board yet: name them in `devices` (docs/first-system.md, section 9)."
    } else {
        "Linux. It has no device of the board yet: name them in `devices` (docs/first-system.md, section 9)."
    };
    let mut out = system(board, "linux", what) + &pool("linux", &cpus);
    if beside {
        out += &pool("rt", &[last]);
    }
    let _ = write!(
        out,
        "\n[[partition]]\nname = \"linux\"\npool = \"linux\"\nvcpus = {}\nmemory = \"256MiB\"\n\
         image = {{ kernel = \"debian:linux-image-cloud-arm64\", initrd = \"busybox\", cmdline = \"console=ttyAMA0\" }}\n\
         console = \"virtual\"\non_fault = \"restart\"\n",
        cpus.len()
    );
    if beside {
        out += &guest(board, "rt", "rt");
        out += "on_fault = \"restart\"\n";
    }
    out
}
