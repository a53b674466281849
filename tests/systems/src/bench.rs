//! What a test works with.

use std::collections::HashMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use qemu::bochs::{Bochs, Cpu};
use qemu::machine::option_value;
use qemu::session::{Bootable, Options, Origin, Session, interrupted};

use crate::attribution;
use crate::registry::Need;
use crate::system_file::SystemFile;

/// The firmware of a PC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Firmware {
    /// The BIOS that QEMU brings along.
    Bios,
    /// UEFI.
    Uefi,
}

/// A CD-ROM from which GRUB starts an image.
#[derive(Clone, Debug)]
pub struct Cdrom {
    /// The file.
    pub file: PathBuf,
    /// What lies in the machine's flash memory. `None`: what the machine has by itself.
    pub firmware: Option<PathBuf>,
}

/// What the command line lends to the tests.
pub trait Workshop: Sync {
    /// Builds a system, with further features of its image.
    ///
    /// # Errors
    /// The system's diagnostics, or whatever kept the build from working.
    fn build(&self, system: &Path, features: &[&'static str]) -> anyhow::Result<Bootable>;

    /// The command line itself, to be run as a user runs it.
    fn command_line(&self) -> Command;

    /// The checkout.
    fn root(&self) -> &Path;

    /// Where images, reports and logs go.
    fn output(&self) -> &Path;

    /// A board's device tree in the flattened format.
    ///
    /// # Errors
    /// It cannot be had.
    fn board_tree(&self, board: &str) -> anyhow::Result<Vec<u8>>;

    /// The file with U-Boot for QEMU's `virt`.
    ///
    /// # Errors
    /// It cannot be had.
    fn u_boot(&self) -> anyhow::Result<PathBuf>;

    /// The file with UEFI firmware for QEMU's `virt`.
    ///
    /// # Errors
    /// It cannot be had.
    fn uefi(&self) -> anyhow::Result<PathBuf>;

    /// Makes a CD-ROM in `folder` from which GRUB starts `image` on a PC with this firmware.
    ///
    /// # Errors
    /// A program is missing, or the folder cannot be written.
    fn cdrom(&self, image: &Path, firmware: Firmware, folder: &Path) -> anyhow::Result<Cdrom>;

    /// Sets up what a test needs.
    ///
    /// # Errors
    /// Why it cannot be had: the tests that need it are skipped.
    fn provide(&self, need: &Need) -> anyhow::Result<()>;
}

/// Systems that have been built in this run, by their TOML text and further features: several tests boot the same one.
#[derive(Default)]
pub struct Built(Mutex<HashMap<(String, Vec<&'static str>), Bootable>>);

/// What one test works with.
pub struct Bench<'a> {
    workshop: &'a dyn Workshop,
    built: &'a Built,
    scratch: PathBuf,
    logs: PathBuf,
    deadline: Instant,
}

impl<'a> Bench<'a> {
    /// A bench with an empty log folder.
    ///
    /// # Errors
    /// The folders cannot be made.
    pub fn new(
        workshop: &'a dyn Workshop,
        built: &'a Built,
        test: &str,
        limit: Duration,
    ) -> anyhow::Result<Self> {
        let folder = test.replace('/', "-");
        let bench = Self {
            workshop,
            built,
            scratch: workshop.output().join("test-systems").join(&folder),
            logs: workshop.output().join("test-logs").join(&folder),
            deadline: Instant::now() + limit,
        };
        for folder in [&bench.scratch, &bench.logs] {
            if folder.exists() {
                std::fs::remove_dir_all(folder)
                    .with_context(|| format!("cannot empty {}", folder.display()))?;
            }
            std::fs::create_dir_all(folder)
                .with_context(|| format!("cannot create {}", folder.display()))?;
        }
        Ok(bench)
    }

    /// Where this test's logs are.
    pub fn logs(&self) -> &Path {
        &self.logs
    }

    /// The checkout.
    pub fn root(&self) -> &Path {
        self.workshop.root()
    }

    /// Where images go.
    pub fn output(&self) -> &Path {
        self.workshop.output()
    }

    /// A board's device tree in the flattened format.
    ///
    /// # Errors
    /// It cannot be had.
    pub fn board_tree(&self, board: &str) -> anyhow::Result<Vec<u8>> {
        self.workshop.board_tree(board)
    }

    /// The file with U-Boot for QEMU's `virt`.
    ///
    /// # Errors
    /// It cannot be had.
    pub fn u_boot(&self) -> anyhow::Result<PathBuf> {
        self.workshop.u_boot()
    }

    /// The file with UEFI firmware for QEMU's `virt`.
    ///
    /// # Errors
    /// It cannot be had.
    pub fn uefi(&self) -> anyhow::Result<PathBuf> {
        self.workshop.uefi()
    }

    /// Time left until this test fails.
    pub fn left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    /// Writes a file into this test's scratch folder.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn file(&self, name: &str, text: &str) -> anyhow::Result<PathBuf> {
        let path = self.scratch.join(name);
        std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path)
    }

    /// Builds a system, or takes it as an earlier test built it.
    ///
    /// # Errors
    /// It does not build.
    pub fn build(&self, system: &SystemFile) -> anyhow::Result<Bootable> {
        let key = (system.text(), system.features().to_vec());
        let mut built = self.built.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bootable) = built.get(&key) {
            return Ok(bootable.clone());
        }
        let path = self.file(&format!("{}.toml", system.name()), &key.0)?;
        let bootable = self.workshop.build(&path, system.features())?;
        built.insert(key, bootable.clone());
        Ok(bootable)
    }

    /// Builds a system and starts it on the board's machine.
    ///
    /// # Errors
    /// It does not build or QEMU does not start.
    pub fn start(&self, system: &SystemFile) -> anyhow::Result<Session> {
        self.start_with(system, |_| ())
    }

    /// Builds a system for a PC and has GRUB start it from a CD-ROM.
    ///
    /// # Errors
    /// It does not build, the CD-ROM cannot be made, or QEMU does not start.
    pub fn start_by_grub(
        &self,
        system: &SystemFile,
        firmware: Firmware,
    ) -> anyhow::Result<Session> {
        let image = self.build(system)?.image;
        let cdrom = self.workshop.cdrom(&image, firmware, &self.scratch)?;
        self.start_with(system, |options| {
            options.origin = Origin::Cdrom(cdrom.file);
            if let Some(firmware) = cdrom.firmware {
                let file = option_value(&firmware);
                // Without sleep in RAM, firmware keeps nothing below 1 GiB but for what lies above the board's memory.
                options.extra = vec![
                    "-drive".into(),
                    format!("if=pflash,format=raw,readonly=on,file={file}"),
                    "-global".into(),
                    "ICH9-LPC.disable_s3=1".into(),
                ];
            }
        })
    }

    /// Builds a system for a PC and has GRUB start it on a machine of Bochs' with as many CPUs, the first of which are the system's.
    ///
    /// # Errors
    /// It does not build, the CD-ROM cannot be made, or Bochs does not start.
    pub fn start_in_bochs(
        &self,
        system: &SystemFile,
        cpu: Cpu,
        cpus: u32,
    ) -> anyhow::Result<Session> {
        /// What the board says: Bochs has it as QEMU does.
        const MEMORY: u32 = 1024;
        let image = self.build(system)?.image;
        let cdrom = self.workshop.cdrom(&image, Firmware::Bios, &self.scratch)?;
        let machine = Bochs {
            cdrom: cdrom.file,
            cpu,
            cpus,
            memory: MEMORY,
        };
        self.start_with(system, |options| options.origin = Origin::Bochs(machine))
    }

    /// Builds a system of the checkout and starts it.
    ///
    /// # Errors
    /// See [`start`](Self::start).
    pub fn start_file(&self, system: &Path) -> anyhow::Result<Session> {
        let bootable = self.workshop.build(system, &[])?;
        Session::start(&bootable, &Options::quiet(&self.logs))
    }

    /// Builds a system and starts it with changed options.
    ///
    /// # Errors
    /// See [`start`](Self::start).
    pub fn start_with(
        &self,
        system: &SystemFile,
        change: impl FnOnce(&mut Options),
    ) -> anyhow::Result<Session> {
        let bootable = self.build(system)?;
        // The next run writes over what the one before it has said.
        attribution::check(&self.logs)?;
        let mut options = Options::quiet(&self.logs);
        change(&mut options);
        Session::start(&bootable, &options)
    }

    /// Runs `cargo xtask` with these arguments, without input and from the scratch folder, to its end. The whole output is kept
    /// beside the logs.
    ///
    /// # Errors
    /// It cannot be started or outlives the test's time limit.
    pub fn xtask(&self, arguments: &[&str]) -> anyhow::Result<Output> {
        let mut child = self
            .workshop
            .command_line()
            .args(arguments)
            .current_dir(&self.scratch)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("cannot start the command line")?;
        let stdout = collect(child.stdout.take());
        let stderr = collect(child.stderr.take());
        let status = loop {
            if let Some(status) = child.try_wait()? {
                break Some(status);
            }
            if self.left().is_zero() || interrupted() {
                terminate(&mut child)?;
                break None;
            }
            thread::sleep(Duration::from_millis(50));
        };
        let (stdout, stderr) = (
            stdout.join().unwrap_or_default(),
            stderr.join().unwrap_or_default(),
        );
        std::fs::write(self.logs.join("stdout.txt"), &stdout)?;
        std::fs::write(self.logs.join("stderr.txt"), &stderr)?;
        match status {
            Some(status) => Ok(Output {
                status,
                stdout,
                stderr,
            }),
            None => bail!("cargo xtask {} did not end in time", arguments.join(" ")),
        }
    }
}

fn collect(pipe: Option<impl Read + Send + 'static>) -> thread::JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            // What was read until the pipe broke is all there is.
            let _ = pipe.read_to_end(&mut bytes);
        }
        bytes
    })
}

/// Asks the command line to end, so that it takes its QEMU with it, and insists after a while.
fn terminate(child: &mut std::process::Child) -> anyhow::Result<()> {
    Command::new("kill")
        .arg(child.id().to_string())
        .status()
        .context("cannot run kill")?;
    for _ in 0..50 {
        if child.try_wait()?.is_some() {
            return Ok(());
        }
        thread::sleep(Duration::from_millis(100));
    }
    child.kill().context("cannot end the command line")?;
    child
        .wait()
        .map(drop)
        .context("cannot end the command line")
}
