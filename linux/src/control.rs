//! The page by which a program makes Bulkhead's own calls.

use std::array;
use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use model::call::page::{IDENTITY, MAGIC, STATUS, register};
use model::call::{Call, MOST_VALUES, Status};
use rustix::fs::{FlockOperation, flock};

use crate::bind::{self, BindError, PLATFORM};
use crate::device::{CLASS, Device, DeviceError};
use crate::map::{self, map};

/// The node of the page, as generic UIO calls it.
const NAME: &str = "control";
const COMPATIBLE: &str = "bulkhead,control";

/// Why there is no page of calls, or a call was not made.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// Generic UIO does not drive it.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The device cannot be found or does not make sense.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// The device file cannot be opened, mapped or locked.
    #[error("cannot use {0}: {1}")]
    Node(PathBuf, io::Error),
    /// It is another page than this program knows.
    #[error("the page of calls says that it is {0:#x}, and this program knows {MAGIC:#x}")]
    Identity(u64),
    /// A status that nobody has defined.
    #[error("the hypervisor gave the status {0}, which this program does not know")]
    Status(i64),
}

/// A partition over which this one has a right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Covered {
    /// Its name in the system file.
    pub name: String,
    /// Its place there.
    pub number: u32,
    /// `control` or `watch`, `console`, or one of the first two and `console`.
    pub right: String,
}

impl Covered {
    /// True when calls may ask how it does.
    pub fn may_watch(&self) -> bool {
        self.right != "console"
    }
}

/// What a call gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// What became of it.
    pub status: Status,
    /// Its values; those that the call does not have are 0.
    pub values: [u64; MOST_VALUES],
}

/// This partition's page of calls.
#[derive(Debug)]
pub struct Control {
    node: PathBuf,
    file: File,
    registers: &'static [AtomicU64],
    covers: Vec<Covered>,
}

impl Control {
    /// Opens the page, and has generic UIO drive it before if it does not yet, for which the caller must be root. It stays mapped until the process ends.
    ///
    /// # Errors
    /// [`ControlError`].
    pub fn open() -> Result<Self, ControlError> {
        let class = Path::new(CLASS);
        let device = match Device::find(class, NAME) {
            Ok(device) => device,
            Err(_) => {
                bind::bind(Path::new(PLATFORM), COMPATIBLE)?;
                Device::find(class, NAME)?
            }
        };
        let node = device.node();
        let failed = |error| ControlError::Node(node.clone(), error);
        let file = OpenOptions::new().read(true).write(true).open(&node);
        let file = file.map_err(failed)?;
        let size = device.size(0)?.unwrap_or_default();
        let registers: &[AtomicU64] = map(&file, 0, size).map_err(failed)?;
        let control = Self {
            covers: covers(&device)?,
            node,
            file,
            registers,
        };
        match control.read(IDENTITY) {
            MAGIC => Ok(control),
            other => Err(ControlError::Identity(other)),
        }
    }

    /// The partitions over which this one has a right, in the order of the system file.
    pub fn covers(&self) -> &[Covered] {
        &self.covers
    }

    /// Makes a call. Other programs that use the page wait meanwhile.
    ///
    /// # Errors
    /// The page cannot be locked, or gives a status that is none.
    pub fn call(&self, call: Call, argument: u64) -> Result<Answer, ControlError> {
        let lock = |what| {
            let locked = flock(&self.file, what);
            locked.map_err(|error| ControlError::Node(self.node.clone(), error.into()))
        };
        lock(FlockOperation::LockExclusive)?;
        let word = register(call as u32).and_then(|offset| self.word(offset));
        if let Some(word) = word {
            word.store(argument.to_le(), Ordering::Relaxed);
        }
        let [status, values @ ..]: [u64; 1 + MOST_VALUES] =
            array::from_fn(|index| self.read(STATUS + 8 * index as u64));
        lock(FlockOperation::Unlock)?;
        let status = status.cast_signed();
        Ok(Answer {
            status: Status::of(status).ok_or(ControlError::Status(status))?,
            values,
        })
    }

    /// Lets the interrupt come that tells of others' failures.
    ///
    /// # Errors
    /// The page has none: nobody notifies this partition.
    pub fn listen(&mut self) -> io::Result<()> {
        map::listen(&mut self.file)
    }

    /// Sleeps until there may be a failure to tell.
    ///
    /// # Errors
    /// The kernel cannot.
    pub fn wait(&mut self) -> io::Result<()> {
        map::wait(&mut self.file)
    }

    fn word(&self, offset: u64) -> Option<&AtomicU64> {
        self.registers.get(offset as usize / size_of::<u64>())
    }

    fn read(&self, offset: u64) -> u64 {
        let word = self.word(offset);
        word.map_or(0, |word| u64::from_le(word.load(Ordering::Relaxed)))
    }
}

/// What the device tree says of the partition's rights; nothing where it has none.
fn covers(device: &Device) -> Result<Vec<Covered>, DeviceError> {
    if !device.has("bulkhead,names") {
        return Ok(Vec::new());
    }
    let names = device.strings("bulkhead,names")?.into_iter();
    let rights = device.strings("bulkhead,rights")?;
    let numbers = device.cells("bulkhead,numbers")?;
    let all = names.zip(rights).zip(numbers);
    Ok(all
        .map(|((name, right), number)| Covered {
            name,
            number,
            right,
        })
        .collect())
}
