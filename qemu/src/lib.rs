//! Runs systems in QEMU and makes sense of what they print.
//!
//! One QEMU process, or one of [`bochs`], is one [`Session`](session::Session). Its single UART carries the text of every partition and of the hypervisor;
//! the [`demultiplex`] module takes the lines apart, [`console`] decodes the hypervisor's compact log frames and keeps one clean
//! transcript and one log file per source. The [`debian`] module fetches the real guests through a private apt state, and
//! [`initramfs`] builds the root file system that they boot into.
//!
//! Principles:
//! - what comes out of QEMU is a guest's text and therefore hostile: every buffer here is bounded, and no byte can make the reader
//!   panic or attribute a line to somebody else;
//! - a QEMU process never outlives its session;
//! - nothing here knows how an image is built; a [`Bootable`](session::Bootable) says where it is.

pub mod bochs;
pub mod console;
pub mod cpio;

pub mod debian;
pub mod decoder;
pub mod demultiplex;
pub mod initramfs;
pub mod live;
pub mod machine;
pub mod outcome;
pub mod session;
pub mod statistics;
pub mod terminal;
pub mod text;
pub mod trace;
pub mod transcript;
pub mod version;
