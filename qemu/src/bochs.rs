//! Bochs, another emulator of PCs: it has Intel's virtualization, and AMD's in a second opinion.
//!
//! It boots from a CD-ROM and speaks through its first serial port. Nothing can be typed: what Debian's Bochs reads is for its debugger, which begins before
//! the first instruction and is told to go on.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;

/// The program.
pub const PROGRAM: &str = "bochs";

/// What a CPU is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cpu {
    /// CPU model, as `bochs --help cpu` lists them.
    model: &'static str,
    /// The options of the directive `cpuid`, which only the generic model heeds.
    cpuid: Option<&'static str>,
}

/// An Intel CPU with extended page tables and unrestricted guests.
pub const INTEL: Cpu = Cpu {
    model: "corei7_skylake_x",
    cpuid: None,
};
/// A CPU with AMD's nested paging. None of the models after AMD's CPUs has an x2APIC.
pub const AMD: Cpu = Cpu {
    model: "bx_generic",
    cpuid: Some(
        "vendor_string=\"AuthenticAMD\", level=6, x86_64=1, svm=1, vmx=0, apic=x2apic, xsave=1, simd=avx, 1g_pages=1",
    ),
};

/// A machine of Bochs'.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bochs {
    /// What it boots from.
    pub cdrom: PathBuf,
    /// What each CPU is.
    pub cpu: Cpu,
    /// How many there are.
    pub cpus: u32,
    /// Memory in MiB.
    pub memory: u32,
}

impl Bochs {
    /// The command that runs it, with its configuration in `folder` and the serial port's text on standard output. What Bochs says itself goes to
    /// `bochs.log` there.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn command(&self, folder: &Path) -> anyhow::Result<Command> {
        let configuration = folder.join("bochsrc");
        let debugger = folder.join("debugger");
        for (file, text) in [
            (&configuration, self.configuration(folder)),
            (&debugger, "continue\n".to_owned()),
        ] {
            std::fs::write(file, text)
                .with_context(|| format!("cannot write {}", file.display()))?;
        }
        let mut command = Command::new(PROGRAM);
        command.arg("-q").arg("-f").arg(configuration);
        command.arg("-rc").arg(debugger);
        // Its screen is a terminal of its own, of a kind that every host knows.
        command.env("TERM", "vt100");
        Ok(command)
    }

    /// Time is counted in instructions, 50 million a second, so that a run does not depend on the host. A panic of Bochs ends it, and so does a triple fault.
    fn configuration(&self, folder: &Path) -> String {
        let Self {
            cdrom,
            cpu: Cpu { model, cpuid },
            cpus,
            memory,
        } = self;
        let (cdrom, log) = (cdrom.display(), folder.join("bochs.log"));
        let features = cpuid.map_or_else(String::new, |options| format!("cpuid: {options}\n"));
        format!(
            "plugin_ctrl: biosdev=1, serial=1, unmapped=1\n\
             display_library: term\n\
             memory: guest={memory}, host={memory}\n\
             romimage: file=$BXSHARE/BIOS-bochs-latest\n\
             vgaromimage: file=$BXSHARE/VGABIOS-lgpl-latest\n\
             cpu: model={model}, count={cpus}, ips=50000000, reset_on_triple_fault=0\n\
             {features}\
             clock: sync=none, time0=946684800\n\
             ata0-master: type=cdrom, path=\"{cdrom}\", status=inserted\n\
             boot: cdrom\n\
             com1: enabled=1, mode=file, dev=/dev/stdout\n\
             log: \"{}\"\n\
             debug: action=ignore\n\
             panic: action=fatal\n",
            log.display()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_has_the_machine_in_a_file_and_lets_it_go_on() {
        let folder = tempfile::tempdir().expect("folder");
        let machine = Bochs {
            cdrom: PathBuf::from("a b.iso"),
            cpu: AMD,
            cpus: 2,
            memory: 512,
        };
        let command = machine.command(folder.path()).expect("command");
        assert_eq!(command.get_program(), PROGRAM);
        let read = |name| std::fs::read_to_string(folder.path().join(name)).expect(name);
        let configuration = read("bochsrc");
        for line in [
            "cpu: model=bx_generic, count=2, ",
            "\ncpuid: vendor_string=\"AuthenticAMD\", ",
            "memory: guest=512, host=512\n",
            "path=\"a b.iso\"",
        ] {
            assert!(configuration.contains(line), "{configuration}");
        }
        assert_eq!(read("debugger"), "continue\n");
    }
}
