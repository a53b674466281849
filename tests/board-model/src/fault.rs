//! What no image may do on the board. Each ends the run.

use std::fmt;

/// What an access is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// An instruction is fetched.
    Fetch,
    /// Data is read.
    Read,
    /// Data is written.
    Write,
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Fetch => "fetch",
            Self::Read => "read",
            Self::Write => "write",
        })
    }
}

/// Why a run ended before every CPU was in its guest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The instruction is none that the image is compiled to.
    #[error("the model does not know the instruction {0:#010x}")]
    Instruction(u32),
    /// The system register does not exist on the board, or the model has no value for it.
    #[error("{0} does not exist on this board")]
    Register(String),
    /// The image's own map has nothing there, or does not allow the access.
    #[error("{access} at the virtual address {address:#x}: {why}")]
    Translation {
        /// What for.
        access: Access,
        /// Where.
        address: u64,
        /// Why not.
        why: &'static str,
    },
    /// Neither memory nor a device that the hypervisor may drive.
    #[error(
        "{access} of {size} bytes at {address:#x}, where the board's map has nothing for the hypervisor"
    )]
    Outside {
        /// What for.
        access: Access,
        /// Physical address.
        address: u64,
        /// Bytes.
        size: usize,
    },
    /// A device does not take this access.
    #[error("{device}: {access} of {size} bytes at offset {offset:#x}: {why}")]
    Device {
        /// Its node.
        device: String,
        /// What for.
        access: Access,
        /// From the start of its registers.
        offset: u64,
        /// Bytes.
        size: usize,
        /// Why not.
        why: &'static str,
    },
    /// Firmware is asked for what it does not have.
    #[error("firmware has no call {0:#x}")]
    Call(u64),
    /// A guest is entered wrongly.
    #[error("a guest is entered wrongly: {0}")]
    Guest(String),
    /// Nothing happens any more.
    #[error("CPUs wait for ever before a guest runs on each")]
    Silent,
    /// It takes too long.
    #[error("more than {0} instructions")]
    Endless(u64),
    /// The device tree lacks something.
    #[error("the device tree: {0}")]
    Tree(String),
}
