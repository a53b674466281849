//! DMA under control: a device reaches exactly the memory of the partition that owns it, or nothing.
//!
//! # Principles
//! - DMA is denied by default, from the first instruction that touches an IOMMU on, also for streams that firmware left enabled.
//! - Every fault is attributed to its stream. Containment never depends on faults being reported: some are lost in every machine.
//! - Every wait for the hardware is bounded; an IOMMU that does not answer is an error, not a hang.
//! - Register access is a small trait, so that all of it runs on the host against register models.
//!
//! # What is here
//! - [`Iommu`]: what the core asks of any IOMMU;
//! - [`fault`]: fault records, the same for every kind of IOMMU;
//! - [`memory`]: tables and queues that IOMMUs read and write by themselves;
//! - [`v3`], [`v2`]: the drivers of Arm's SMMUs;
//! - [`ipmmu`]: the driver of the Renesas IPMMU of R-Car Gen3 and Gen4;
//! - [`vtd`]: the driver of Intel's VT-d, for PCs;
//! - [`driver`]: all of Arm's boards behind one type.
//!
//! # Limits
//! Partitions' stage-2 tables are shared with the CPU: an IOMMU that cannot walk them (4 KiB granule, and
//! coherently where its node in the device tree says so) is refused at boot.
#![cfg_attr(not(any(test, feature = "models")), no_std)]
#![cfg_attr(
    not(any(test, feature = "models")),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing
    )
)]

#[cfg(any(feature = "smmuv2", feature = "smmuv3"))]
mod address_size;
#[cfg(any(feature = "smmuv2", feature = "smmuv3", feature = "ipmmu"))]
pub mod driver;
pub mod fault;
#[cfg(feature = "ipmmu")]
pub mod ipmmu;
pub mod memory;
#[cfg(any(test, feature = "models"))]
pub mod models;
pub mod registers;
#[cfg(all(test, feature = "system"))]
mod system_tests;
#[cfg(feature = "smmuv2")]
pub mod v2;
#[cfg(feature = "smmuv3")]
pub mod v3;
#[cfg(feature = "vtd")]
pub mod vtd;

use model::iommu::Streams;
use model::{Pa, StreamId, Vmid};

#[cfg(any(feature = "smmuv2", feature = "smmuv3", feature = "ipmmu"))]
pub use driver::Driver;
pub use fault::{Access, Cause, Class, Failure, Fault, Source};
pub use memory::SharedMemory;
pub use registers::{Mmio, RegisterFrame};

/// A partition's stage-2 translation, as an IOMMU needs to know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Domain {
    /// Tag of the partition's translations.
    pub vmid: Vmid,
    /// Its outermost table.
    pub root: Pa,
    /// Width of its addresses in bits: 32 to 48.
    pub ipa_bits: u8,
}

/// Why an IOMMU did not do what it was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IommuError {
    /// The IOMMU has no such stream.
    #[error("{0:?} does not exist")]
    NoSuchStream(StreamId),
    /// The stream belongs to the partition with this VMID.
    #[error("{stream:?} already belongs to {owner:?}")]
    Attached {
        /// The stream asked for.
        stream: StreamId,
        /// Its owner.
        owner: Vmid,
    },
    /// The stream belongs to nobody.
    #[error("{0:?} belongs to nobody")]
    NotAttached(StreamId),
    /// The IOMMU cannot translate addresses of this width.
    #[error("{0}-bit addresses are not supported")]
    IpaBits(u8),
    /// The register at this offset did not take a value in time.
    #[error("the register at {0:#x} does not answer")]
    Stuck(usize),
    /// The IOMMU refused a command.
    #[error("command {opcode:#x} was refused with error {reason}")]
    Refused {
        /// The command, in the hardware's numbering.
        opcode: u8,
        /// Why, in the hardware's numbering.
        reason: u8,
    },
    /// The IOMMU lacks something that the driver needs.
    #[error("it lacks {0}")]
    Lacks(&'static str),
    /// The partitions' devices need more of this than there is.
    #[error("it has too few {0}")]
    TooFew(&'static str),
    /// The memory for tables and queues is too small for the streams.
    #[error("too little memory for its tables")]
    Memory,
}

/// What the core asks of an IOMMU.
///
/// A driver must keep these rules:
/// - a stream that is not attached is denied every access, from before the driver's constructor returns;
/// - when a call returns, what it asked for holds for all accesses that begin later; when it fails, nothing has become reachable;
/// - no call waits without bound, whatever devices do meanwhile.
pub trait Iommu {
    /// Lets `streams` reach what `domain` maps, with its permissions, and nothing else. Their faults are recorded.
    ///
    /// # Errors
    /// [`IommuError`]; the streams stay denied, or their owner's, then.
    fn attach(&mut self, streams: Streams, domain: &Domain) -> Result<(), IommuError>;

    /// Denies `streams` everything again and forgets every translation made for them. Their faults are recorded.
    ///
    /// # Errors
    /// [`IommuError`] when one is not attached, or the hardware does not answer: what they had may be reachable still then.
    fn detach(&mut self, streams: Streams) -> Result<(), IommuError>;

    /// Forgets cached translations of the partition: to be called after its stage 2 has lost a mapping and before the memory gets
    /// another use.
    ///
    /// # Errors
    /// [`IommuError`] when the hardware does not answer; the memory must not be used then.
    fn invalidate(&mut self, vmid: Vmid) -> Result<(), IommuError>;

    /// Stops recording faults of `streams` until they are attached or detached. What they reach does not change.
    ///
    /// # Errors
    /// [`IommuError`]; their faults may be recorded still then.
    fn mute(&mut self, streams: Streams) -> Result<(), IommuError>;

    /// The oldest fault that was not asked for yet; `None` when there is none.
    fn next_fault(&mut self) -> Option<Fault>;

    /// Forgets all faults that were not asked for yet, and returns what that cost; `None` when there were none. When they come without
    /// end, no faults are recorded any more: an interrupt comes only when the first fault is put into an empty queue, so one that never
    /// gets empty would be silent without anybody's knowing.
    fn discard_faults(&mut self) -> Option<Failure>;

    /// What befell the whole IOMMU since this was asked last; `None` when there is nothing more.
    fn next_failure(&mut self) -> Option<Failure>;
}
