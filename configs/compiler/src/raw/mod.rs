//! What a TOML file says, with the place of each word, before anyone asks whether it makes sense.
//!
//! One file for each table of the system file. A list that holds a wrong element is empty here: the element is reported, and what
//! is left of the list would only mislead the rules.

pub(crate) mod channel;
pub(crate) mod console;
pub(crate) mod cpu_policy;
pub(crate) mod device;
pub(crate) mod gic;
pub(crate) mod hypervisor;
pub(crate) mod image;
pub(crate) mod interrupt;
pub(crate) mod lifecycle;
pub(crate) mod memory;
pub(crate) mod partition;
pub(crate) mod pool;
pub(crate) mod quantity;
pub(crate) mod reader;
pub(crate) mod rights;
pub(crate) mod schema;
pub(crate) mod size;
mod syntax;
pub(crate) mod system;
pub(crate) mod values;
pub(crate) mod vcpu;

pub(crate) use channel::RawChannel;
pub(crate) use console::RawConsole;
pub(crate) use device::RawDevice;
pub(crate) use gic::GicVersion;
pub(crate) use hypervisor::RawHypervisorConsole;
pub(crate) use image::RawImage;
pub(crate) use memory::RawMemory;
pub(crate) use partition::RawPartition;
pub(crate) use pool::{PoolPolicy, RawPool};
pub(crate) use rights::FirmwareCalls;
pub(crate) use system::RawSystem;
pub(crate) use vcpu::RawVcpu;
