//! System tests: whole systems, built as a user builds them and booted in QEMU.
//!
//! A [`Test`](registry::Test) has a name, tags, what it needs, and a body that gets a [`Bench`](bench::Bench): a scratch folder, a
//! log folder, a deadline, and the means to build and start systems. The [`harness`] runs tests side by side, at most
//! [`AT_ONCE`](harness::AT_ONCE) at a time, and keeps the logs of those that fail.
//!
//! How a system is built is not known here: the command line hands in a [`Workshop`](bench::Workshop).

pub mod attacks;
pub mod bench;
pub mod costs;
pub mod harness;
pub mod registry;
pub mod shares;
pub mod system_file;

mod attribution;
mod boards;
mod boot_loaders;
mod channels;
mod command_line;
mod containment;
mod control;
mod cpu_models;
mod defects;
mod demo;
mod desk;
mod desk_messages;
mod dma;
mod dma_storm;
mod forged;
mod functions;
mod global;
mod guests;
mod hostile_gic;
mod iommus;
mod legacy;
mod linux;
mod machines;
mod messages;
mod new_board;
mod panics;
mod partitions;
mod registers;
mod self_check;
mod shapes;
mod stress;
mod trace;
mod turns;
mod wrong_board;
mod x86;
mod x86_bochs;
mod x86_dma;
mod x86_trace;
mod x86_turns;
mod zynqmp;
