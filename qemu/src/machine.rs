//! QEMU's command line.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// No devices but the machine's own, and nothing shown.
pub const BARE: [&str; 7] = [
    "-nodefaults",
    // Some boards have a sound device for which QEMU would look for a host's.
    "-audio",
    "none",
    "-display",
    "none",
    "-monitor",
    "none",
];

/// A file as the value of an option: QEMU's parser reads a doubled comma as a comma of the value.
pub fn option_value(file: &Path) -> String {
    file.to_string_lossy().replace(',', ",,")
}

/// Which emulator a machine needs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Architecture {
    /// 64-bit Arm.
    #[default]
    Arm,
    /// A PC.
    Pc,
}

impl Architecture {
    /// QEMU's program.
    pub const fn program(self) -> &'static str {
        match self {
            Self::Arm => "qemu-system-aarch64",
            Self::Pc => "qemu-system-x86_64",
        }
    }
}

/// The machine that a board describes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machine {
    /// What it is.
    pub architecture: Architecture,
    /// `-M`, for example `virt,gic-version=3,virtualization=on`.
    pub machine: String,
    /// `-cpu`, for example `cortex-a57`.
    pub cpu: String,
    /// `-smp`; `None`: what the machine has by itself.
    pub cpus: Option<u32>,
    /// `-m`, in the unit suffixes of QEMU, for example `2G`.
    pub memory: String,
    /// Which serial port is the board's console, from 0: as many others come before it.
    pub serial: u32,
    /// `-device`, each.
    pub devices: Vec<String>,
    /// `-dtb`: the device tree of a machine that generates none.
    pub tree: Option<PathBuf>,
}

impl Machine {
    /// Arguments that start `first` on this machine, a file behind the option for it, with the one serial port on standard input and output.
    pub fn run_arguments(
        &self,
        (option, first): (&str, impl Into<OsString>),
        icount: bool,
        extra: &[String],
    ) -> Vec<OsString> {
        let mut arguments = self.hardware(icount);
        for _ in 0..self.serial {
            arguments.extend(["-serial".into(), "null".into()]);
        }
        // `signal=off`: the byte of Ctrl-C belongs to the guest.
        for argument in [
            "-chardev",
            "stdio,id=console,signal=off",
            "-serial",
            "chardev:console",
            option,
        ] {
            arguments.push(argument.into());
        }
        arguments.push(first.into());
        if let Some(tree) = &self.tree {
            arguments.extend(["-dtb".into(), tree.into()]);
        }
        if icount {
            arguments.extend(["-icount".into(), "shift=0,sleep=off".into()]);
        }
        arguments.extend(extra.iter().map(OsString::from));
        arguments
    }

    /// Arguments that make QEMU write the machine's device tree to `file` and end. Some machines complete it only for a `kernel`, which is
    /// read and not run.
    pub fn dump_arguments(&self, file: &Path, kernel: &Path) -> Vec<OsString> {
        let mut arguments = self.hardware(false);
        let mut machine = OsString::from(&self.machine);
        machine.push(",dumpdtb=");
        machine.push(option_value(file));
        arguments[1] = machine;
        arguments.extend(["-kernel".into(), kernel.into()]);
        arguments
    }

    fn hardware(&self, icount: bool) -> Vec<OsString> {
        let cpu = match self.architecture {
            Architecture::Arm => cpu_option(&self.cpu, icount),
            Architecture::Pc => self.cpu.clone(),
        };
        let mut arguments: Vec<OsString> = ["-M", &self.machine, "-cpu", &cpu]
            .map(OsString::from)
            .to_vec();
        if let Some(cpus) = self.cpus {
            arguments.extend(["-smp".into(), cpus.to_string().into()]);
        }
        arguments.extend(["-m", &self.memory].map(OsString::from));
        arguments.extend(BARE.map(OsString::from));
        for device in &self.devices {
            arguments.extend(["-device".into(), device.into()]);
        }
        arguments
    }
}

/// The CPU model with the options that every run wants: under `-icount` a 1 GHz counter, so that one tick is one instruction
/// (`max` has it already), and on `max` pointer authentication by a cheap hash, since QEMU's QARMA costs more than the guest.
fn cpu_option(cpu: &str, icount: bool) -> String {
    let model = cpu.split(',').next().unwrap_or_default();
    let mut option = cpu.to_owned();
    let mut add = |name: &str, value: &str| {
        if !cpu.contains(name) {
            option.push_str(&format!(",{name}={value}"));
        }
    };
    if model == "max" {
        add("pauth-impdef", "on");
    } else if icount {
        add("cntfrq", "1000000000");
    }
    option
}

#[cfg(test)]
mod tests {
    use super::*;

    const KERNEL: (&str, &str) = ("-kernel", "b.img");

    fn machine(cpu: &str) -> Machine {
        Machine {
            architecture: Architecture::Arm,
            machine: "virt,gic-version=3".into(),
            cpu: cpu.into(),
            cpus: Some(4),
            memory: "2G".into(),
            serial: 0,
            devices: Vec::new(),
            tree: None,
        }
    }

    #[test]
    fn tree_of_a_machine_that_generates_none_is_handed_over() {
        let board = Machine {
            tree: Some("board.dtb".into()),
            ..machine("cortex-a53")
        };
        let line = text(board.run_arguments(KERNEL, false, &[]));
        assert!(line.ends_with("-kernel b.img -dtb board.dtb"), "{line}");
    }

    #[test]
    fn ports_before_the_console_lead_nowhere() {
        let board = Machine {
            serial: 1,
            cpus: None,
            ..machine("cortex-a53")
        };
        let line = text(board.run_arguments(KERNEL, false, &[]));
        let ports = "-serial null -chardev stdio,id=console,signal=off -serial chardev:console";
        assert!(line.contains(ports) && !line.contains("-smp"), "{line}");
    }

    fn text(arguments: Vec<OsString>) -> String {
        arguments
            .iter()
            .map(|argument| argument.to_string_lossy())
            .collect::<Vec<_>>()
            .join(" ")
    }

    #[test]
    fn pc_keeps_its_cpu_as_it_is_written() {
        let pc = Machine {
            architecture: Architecture::Pc,
            ..machine("max")
        };
        let line = text(pc.run_arguments(KERNEL, true, &[]));
        assert!(line.contains(" -cpu max -smp 4 "), "{line}");
        assert!(line.ends_with("-icount shift=0,sleep=off"), "{line}");
    }

    #[test]
    fn extra_arguments_come_last_so_that_they_win() {
        let line =
            text(machine("cortex-a57").run_arguments(KERNEL, false, &["-smp".into(), "2".into()]));
        assert!(
            line.starts_with("-M virt,gic-version=3 -cpu cortex-a57 -smp 4 -m 2G "),
            "{line}"
        );
        assert!(line.ends_with("-kernel b.img -smp 2"), "{line}");
    }

    #[test]
    fn icount_makes_the_counter_tick_once_an_instruction() {
        let line = text(machine("cortex-a57").run_arguments(KERNEL, true, &[]));
        assert!(
            line.contains("-cpu cortex-a57,cntfrq=1000000000 "),
            "{line}"
        );
        assert!(line.ends_with("-icount shift=0,sleep=off"), "{line}");
    }

    #[test]
    fn max_gets_the_cheap_pointer_authentication_once() {
        assert_eq!(cpu_option("max", true), "max,pauth-impdef=on");
        assert_eq!(
            cpu_option("max,pauth-impdef=off", false),
            "max,pauth-impdef=off"
        );
    }

    #[test]
    fn tree_is_dumped_from_the_same_hardware_and_commas_in_the_path_are_doubled() {
        let line = text(machine("cortex-a53").dump_arguments(Path::new("a,b.dtb"), Path::new("k")));
        assert!(
            line.starts_with(
                "-M virt,gic-version=3,dumpdtb=a,,b.dtb -cpu cortex-a53 -smp 4 -m 2G "
            ),
            "{line}"
        );
    }
}
