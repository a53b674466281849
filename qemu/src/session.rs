//! One running QEMU and its consoles.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use regex::{Regex, RegexBuilder};

use crate::bochs::{self, Bochs};
use crate::console::Console;
use crate::decoder::Decoder;
use crate::demultiplex::HYPERVISOR;
use crate::live::Style;
use crate::machine::{Machine, option_value};
use crate::outcome::End;
use crate::statistics::Statistics;
use crate::terminal::{ESCAPE, KeyFilter};

/// A built system and the machine that it runs on.
#[derive(Clone, Debug)]
pub struct Bootable {
    /// The arm64 Image.
    pub image: PathBuf,
    /// The ELF file that it was made from, with the log's format strings. Without it frames are shown undecoded.
    pub elf: Option<PathBuf>,
    /// QEMU's machine.
    pub machine: Machine,
    /// Names of the partitions in the order of the system file.
    pub partitions: Vec<String>,
    /// Files that QEMU puts into memory where it loads the image, with their addresses.
    pub files: Vec<(u64, PathBuf)>,
}

impl Bootable {
    /// QEMU's arguments that load the files.
    fn loaders(&self) -> impl Iterator<Item = String> {
        self.files.iter().flat_map(|(address, file)| {
            let file = option_value(file);
            let loader = format!("loader,file={file},addr={address:#x},force-raw=on");
            ["-device".to_owned(), loader]
        })
    }
}

/// Where a machine finds the image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// In memory, where QEMU loads it (`-kernel`).
    Loaded,
    /// This firmware (`-bios`) finds it by itself.
    Firmware(PathBuf),
    /// The machine's firmware boots from this CD-ROM, on which the image is.
    Cdrom(PathBuf),
    /// The same, on another emulator's machine in the place of QEMU's.
    Bochs(Bochs),
}

/// What one run wants different from the board's own machine.
#[derive(Clone, Debug)]
pub struct Options {
    /// Count instructions: one instruction is one nanosecond of virtual time.
    pub icount: bool,
    /// Another CPU model.
    pub cpu: Option<String>,
    /// Where the machine finds the image.
    pub origin: Origin,
    /// Arguments for QEMU, after all others so that they win.
    pub extra: Vec<String>,
    /// Folder for the logs.
    pub logs: Option<PathBuf>,
    /// What the user sees.
    pub style: Style,
}

impl Options {
    /// A run that shows nothing and logs to `logs`, as tests want it.
    pub fn quiet(logs: &Path) -> Self {
        Self {
            icount: false,
            cpu: None,
            origin: Origin::Loaded,
            extra: Vec::new(),
            logs: Some(logs.to_owned()),
            style: Style::Quiet,
        }
    }
}

/// Bytes of QEMU's own error output that are kept: the last ones.
const KEPT_ERRORS: usize = 64 * 1024;

/// How long a wait sleeps at most before it looks at its time limit and at [`interrupted`] again.
const TICK: Duration = Duration::from_millis(100);

/// A serial port has a short queue: text is sent in pieces of this size, with a pause in between.
const PIECE: usize = 8;

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Ends every wait of every session. For signal handlers.
pub fn interrupt() {
    INTERRUPTED.store(true, Ordering::SeqCst);
}

/// True once [`interrupt`] has been called.
pub fn interrupted() -> bool {
    INTERRUPTED.load(Ordering::SeqCst)
}

/// One running QEMU. Dropping it kills the process.
pub struct Session {
    child: Child,
    input: Arc<Mutex<ChildStdin>>,
    shared: Arc<Shared>,
    partitions: Vec<String>,
    logs: Option<PathBuf>,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    console: Console,
    errors: VecDeque<u8>,
    ended: bool,
    quit: bool,
}

impl Shared {
    /// A panicking reader must not hide the text that it has read.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Session {
    /// Starts QEMU.
    ///
    /// # Errors
    /// QEMU cannot be started, a log cannot be created, or the ELF file cannot be read.
    pub fn start(bootable: &Bootable, options: &Options) -> anyhow::Result<Self> {
        let decoder = match &bootable.elf {
            Some(elf) => {
                let bytes =
                    std::fs::read(elf).with_context(|| format!("cannot read {}", elf.display()))?;
                Decoder::from_elf(&bytes)
                    .with_context(|| format!("cannot read the log formats of {}", elf.display()))?
            }
            None => None,
        };
        let console = Console::new(
            &bootable.partitions,
            decoder,
            options.logs.as_deref(),
            options.style,
        )?;
        let (program, mut command) = command(bootable, options)?;
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {program}; `cargo xtask setup` installs it"))?;
        let (Some(input), Some(output), Some(errors)) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            bail!("{program} was started without pipes");
        };
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                console,
                errors: VecDeque::new(),
                ended: false,
                quit: false,
            }),
            changed: Condvar::new(),
        });
        let to = Arc::clone(&shared);
        thread::spawn(move || read_errors(errors, &to));
        let to = Arc::clone(&shared);
        thread::spawn(move || read_console(output, &to));
        Ok(Self {
            child,
            input: Arc::new(Mutex::new(input)),
            shared,
            partitions: bootable.partitions.clone(),
            logs: options.logs.clone(),
        })
    }

    /// Waits until `pattern` (a regular expression; `^` and `$` match at line ends) appears in what `source` (`hv` or a partition)
    /// says behind the previous match. Returns the matching line.
    ///
    /// # Errors
    /// The time limit passed, QEMU ended, the source does not exist, or the pattern is malformed. The message has the last lines
    /// of the source.
    pub fn wait_for(
        &mut self,
        source: &str,
        pattern: &str,
        timeout: Duration,
    ) -> anyhow::Result<String> {
        let regex = line_regex(pattern)?;
        ensure!(
            self.shared.lock().console.knows(source),
            "there is no partition {source:?} in this system"
        );
        let mut found = None;
        let end = self.wait(Some(timeout), |console| {
            found = console.find(source, &regex);
            found.is_some()
        })?;
        match found {
            Some(line) => Ok(line),
            None => bail!(
                "[{source}] {pattern:?} did not appear: {}{}",
                self.describe(&end, timeout),
                self.tail(source)
            ),
        }
    }

    /// Waits until `pattern` appears in any source's text, QEMU ends, the time limit passes, or the user ends the run. Without a
    /// pattern or a limit, that condition never comes.
    ///
    /// # Errors
    /// QEMU's exit status cannot be read.
    pub fn wait_until(
        &mut self,
        pattern: Option<&Regex>,
        timeout: Option<Duration>,
    ) -> anyhow::Result<End> {
        self.wait(timeout, |console| {
            pattern.is_some_and(|pattern| console.matches(pattern))
        })
    }

    /// Waits until QEMU ends by itself.
    ///
    /// # Errors
    /// It did not within the time limit.
    pub fn wait_for_exit(&mut self, timeout: Duration) -> anyhow::Result<ExitStatus> {
        match self.wait(Some(timeout), |_| false)? {
            End::Exited(status) => Ok(status),
            end => bail!(
                "QEMU did not end: {}{}",
                self.describe(&end, timeout),
                self.tail(HYPERVISOR)
            ),
        }
    }

    /// Types `text` into a partition's console.
    ///
    /// # Errors
    /// The partition does not exist, is not among the first nine, or QEMU has ended.
    pub fn send(&mut self, partition: &str, text: &str) -> anyhow::Result<()> {
        self.focus(partition)?;
        self.send_raw(text.as_bytes())
    }

    /// As [`send`](Self::send), all at once: faster than any serial line.
    ///
    /// # Errors
    /// As for [`send`](Self::send).
    pub fn paste(&mut self, partition: &str, text: &str) -> anyhow::Result<()> {
        self.focus(partition)?;
        self.write(text.as_bytes())
    }

    /// Has a partition get what is typed from here on.
    fn focus(&mut self, partition: &str) -> anyhow::Result<()> {
        let index = self.partitions.iter().position(|name| name == partition);
        let index =
            index.with_context(|| format!("there is no partition {partition:?} in this system"))?;
        ensure!(
            index < 9,
            "only the first nine partitions can be selected by a digit, {partition:?} is number {}",
            index + 1
        );
        self.send_raw(&[ESCAPE, b'1' + index as u8])
    }

    fn write(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        write_input(&self.input, bytes).context("cannot type into the machine: QEMU has ended")
    }

    /// Sends bytes to the machine's serial port as they are.
    ///
    /// # Errors
    /// QEMU has ended.
    pub fn send_raw(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        for piece in bytes.chunks(PIECE) {
            self.write(piece)?;
            thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    /// Asks the hypervisor for its statistics.
    ///
    /// # Errors
    /// No complete report came within the time limit.
    pub fn statistics(&mut self, timeout: Duration) -> anyhow::Result<Statistics> {
        self.shared.lock().console.skip(HYPERVISOR);
        self.send_raw(&[ESCAPE, b's'])?;
        self.wait_for(HYPERVISOR, "^report end$", timeout)?;
        let told = self.told_statistics();
        told.context("the hypervisor's report is malformed")
    }

    /// The last statistics that the hypervisor has told, if it has, and they are whole: some tell them at their end.
    pub fn told_statistics(&self) -> Option<Statistics> {
        let state = self.shared.lock();
        Statistics::parse(state.console.text(HYPERVISOR).unwrap_or_default())
    }

    /// What a source has said so far, as clean text. Empty for an unknown source.
    pub fn text(&self, source: &str) -> String {
        self.shared
            .lock()
            .console
            .text(source)
            .unwrap_or_default()
            .to_owned()
    }

    /// What QEMU itself has complained about.
    pub fn errors(&self) -> String {
        let state = self.shared.lock();
        let bytes: Vec<u8> = state.errors.iter().copied().collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// The folder with the logs.
    pub fn logs(&self) -> Option<&Path> {
        self.logs.as_deref()
    }

    /// Passes standard input on to the machine from now on. With `keys`, it is a terminal, and Ctrl-] x ends the run.
    pub fn forward_input(&mut self, keys: bool) {
        let input = Arc::clone(&self.input);
        let shared = Arc::clone(&self.shared);
        thread::spawn(move || {
            let mut filter = KeyFilter::default();
            let mut buffer = [0; 256];
            let mut stdin = std::io::stdin().lock();
            while let Ok(count) = stdin.read(&mut buffer)
                && count > 0
            {
                let mut bytes = Vec::new();
                let quit = if keys {
                    filter.feed(&buffer[..count], &mut bytes)
                } else {
                    bytes.extend_from_slice(&buffer[..count]);
                    false
                };
                if write_input(&input, &bytes).is_err() {
                    return;
                }
                if quit {
                    shared.lock().quit = true;
                    shared.changed.notify_all();
                    return;
                }
            }
        });
    }

    /// Ends QEMU if it still runs.
    pub fn finish(self) {
        drop(self);
    }

    fn wait(
        &mut self,
        timeout: Option<Duration>,
        mut done: impl FnMut(&mut Console) -> bool,
    ) -> anyhow::Result<End> {
        let deadline = timeout.map(|timeout| Instant::now() + timeout);
        let shared = Arc::clone(&self.shared);
        let mut state = shared.lock();
        loop {
            if done(&mut state.console) {
                return Ok(End::Matched);
            }
            if std::mem::take(&mut state.quit) || interrupted() {
                return Ok(End::Stopped);
            }
            if state.ended {
                drop(state);
                return Ok(End::Exited(
                    self.child
                        .wait()
                        .context("cannot read QEMU's exit status")?,
                ));
            }
            let left = deadline.map_or(TICK, |deadline| {
                deadline.saturating_duration_since(Instant::now())
            });
            if left.is_zero() {
                return Ok(End::TimedOut);
            }
            state = shared
                .changed
                .wait_timeout(state, left.min(TICK))
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    fn describe(&self, end: &End, timeout: Duration) -> String {
        match end {
            End::Exited(status) => format!("QEMU ended ({status}) {}", self.errors().trim()),
            End::Stopped => "interrupted".to_owned(),
            End::TimedOut | End::Matched => format!("{} s passed", timeout.as_secs()),
        }
    }

    /// The last lines of a source, for a message.
    fn tail(&self, source: &str) -> String {
        let text = self.text(source);
        let lines: Vec<&str> = text.lines().collect();
        let mut tail = format!("\nlast lines of [{source}]:");
        for line in &lines[lines.len().saturating_sub(8)..] {
            tail.push_str("\n  ");
            tail.push_str(line);
        }
        tail
    }
}

/// The emulator that runs a system, and its command line.
fn command(bootable: &Bootable, options: &Options) -> anyhow::Result<(&'static str, Command)> {
    let mut machine = bootable.machine.clone();
    if let Some(cpu) = &options.cpu {
        machine.cpu.clone_from(cpu);
    }
    let first = match &options.origin {
        Origin::Loaded => ("-kernel", &bootable.image),
        Origin::Firmware(firmware) => ("-bios", firmware),
        Origin::Cdrom(cdrom) => ("-cdrom", cdrom),
        Origin::Bochs(machine) => {
            let folder = options.logs.as_deref();
            let folder = folder.context("Bochs needs a folder for its logs")?;
            return Ok((bochs::PROGRAM, machine.command(folder)?));
        }
    };
    // Firmware does it itself.
    let mut extra: Vec<String> = match options.origin {
        Origin::Loaded => bootable.loaders().collect(),
        _ => Vec::new(),
    };
    extra.extend(options.extra.iter().cloned());
    let program = machine.architecture.program();
    let mut command = Command::new(program);
    command.args(machine.run_arguments(first, options.icount, &extra));
    Ok((program, command))
}

impl Drop for Session {
    fn drop(&mut self) {
        // Both fail only when the process is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        // The last bytes are still in the pipe; the logs want them.
        let mut state = self.shared.lock();
        let deadline = Instant::now() + Duration::from_secs(2);
        while !state.ended && Instant::now() < deadline {
            state = self
                .shared
                .changed
                .wait_timeout(state, TICK)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }
}

/// A regular expression whose `^` and `$` match at line ends.
///
/// # Errors
/// The pattern is malformed.
pub fn line_regex(pattern: &str) -> anyhow::Result<Regex> {
    RegexBuilder::new(pattern)
        .multi_line(true)
        .build()
        .with_context(|| format!("malformed regular expression {pattern:?}"))
}

fn write_input(input: &Mutex<ChildStdin>, bytes: &[u8]) -> std::io::Result<()> {
    let mut input = input.lock().unwrap_or_else(PoisonError::into_inner);
    input.write_all(bytes)?;
    input.flush()
}

fn read_console(mut output: impl Read, shared: &Shared) {
    let mut buffer = [0; 16 * 1024];
    loop {
        let count = match output.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(_) => break,
        };
        shared.lock().console.feed(&buffer[..count]);
        shared.changed.notify_all();
    }
    let mut state = shared.lock();
    state.console.finish();
    state.ended = true;
    drop(state);
    shared.changed.notify_all();
}

fn read_errors(mut errors: impl Read, shared: &Shared) {
    let mut buffer = [0; 1024];
    while let Ok(count) = errors.read(&mut buffer)
        && count > 0
    {
        let mut state = shared.lock();
        state.errors.extend(&buffer[..count]);
        let excess = state.errors.len().saturating_sub(KEPT_ERRORS);
        state.errors.drain(..excess);
    }
}
