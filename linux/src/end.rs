//! This partition's end of a channel: its memory, the register that rings, and the wait for being rung.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use bulkhead_channel::{End, Queue, QueueError, Ring};

use crate::device::{CLASS, Device, DeviceError};
use crate::map::{self, map};

/// Ranges of the node's `reg`, which UIO counts as its own.
const MEMORY: usize = 0;
const DOORBELL: usize = 1;

/// Why there is no channel.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The device cannot be found or does not make sense.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// The device file cannot be opened or mapped.
    #[error("cannot open {0}: {1}")]
    Node(PathBuf, io::Error),
    /// The channel has more than two ends.
    #[error("this is end {0} of the channel; messages go between the first two")]
    Place(u32),
    /// This end may only read.
    #[error("this end of the channel may only read; messages need two channels then")]
    ReadOnly,
    /// No other end can be rung.
    #[error("no other end of the channel has a doorbell")]
    Deaf,
    /// This end cannot be rung.
    #[error("this end of the channel has no doorbell: {0}")]
    NoDoorbell(io::Error),
    /// The memory holds no queue.
    #[error(transparent)]
    Queue(#[from] QueueError),
}

/// An end of a channel whose other end is another partition's.
#[derive(Debug)]
pub struct Channel {
    file: File,
    end: End,
    memory: &'static [AtomicU32],
    doorbell: &'static AtomicU32,
}

impl Channel {
    /// The channel of that name in the system file. Its memory stays mapped until the process ends.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(name: &str) -> Result<Self, OpenError> {
        let device = Device::find(Path::new(CLASS), &format!("channel-{name}"))?;
        if device.string("bulkhead,access")? != "read-write" {
            return Err(OpenError::ReadOnly);
        }
        let end = match device.cell("bulkhead,end")? {
            0 => End::First,
            1 => End::Second,
            other => return Err(OpenError::Place(other)),
        };
        let node = device.node();
        let failed = |error| OpenError::Node(node.clone(), error);
        let file = OpenOptions::new().read(true).write(true).open(&node);
        let mut file = file.map_err(failed)?;
        let words = |range| -> Result<Option<&'static [AtomicU32]>, OpenError> {
            let size = device.size(range)?;
            let mapped = size.map(|size| map(&file, range, size).map_err(failed));
            mapped.transpose()
        };
        let memory = words(MEMORY)?.unwrap_or_default();
        let doorbell = words(DOORBELL)?.and_then(<[AtomicU32]>::first);
        let doorbell = doorbell.ok_or(OpenError::Deaf)?;
        // It may have been rung before anybody listened.
        map::listen(&mut file).map_err(OpenError::NoDoorbell)?;
        Ok(Self {
            file,
            end,
            memory,
            doorbell,
        })
    }

    /// Which end this is.
    pub fn end(&self) -> End {
        self.end
    }

    /// This end of the queue in its memory. What was not taken before is lost; the other end is rung, since it may wait for that.
    ///
    /// # Errors
    /// The memory is too small.
    pub fn queue(&self) -> Result<Queue<'static>, OpenError> {
        let queue = Queue::new(self.memory, self.end)?;
        self.answer(Ring::Needed);
        Ok(queue)
    }

    /// Rings the other end if it waits: one exit to the hypervisor.
    pub fn answer(&self, ring: Ring) {
        if ring == Ring::Needed {
            self.doorbell.store(1, Ordering::Relaxed);
        }
    }

    /// Sleeps until this end is rung, or has been since it last slept.
    ///
    /// # Errors
    /// The kernel cannot: the end has no doorbell.
    pub fn wait(&mut self) -> io::Result<()> {
        map::wait(&mut self.file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channel_that_linux_does_not_have_is_named_with_what_to_look_for() {
        let error = Channel::open("no-such-channel").unwrap_err().to_string();
        assert!(
            error.contains("channel-no-such-channel") && error.contains("of_id"),
            "{error}"
        );
    }
}
