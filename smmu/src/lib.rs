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
//! - [`v3`]: of the Arm SMMUv3, denying everything and decoding its event records.
//!
//! # Limits
//! No driver implements [`Iommu`] yet: no stream can be given to a partition, so no device with DMA can be passed through behind an
//! IOMMU.
#![cfg_attr(not(test), no_std)]
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing
    )
)]

pub mod fault;
pub mod registers;
pub mod v3;

use model::{Pa, StreamId, Vmid};

pub use fault::{Access, Cause, Class, Fault};
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
}

/// What the core asks of an IOMMU.
///
/// A driver must keep these rules:
/// - a stream that is not attached is denied every access, from before the driver's constructor returns;
/// - when a call returns, what it asked for holds for all accesses that begin later; when it fails, nothing has become reachable;
/// - no call waits without bound, whatever devices do meanwhile.
pub trait Iommu {
    /// Lets `stream` reach what `domain` maps, with its permissions, and nothing else.
    ///
    /// # Errors
    /// [`IommuError`]; the stream stays denied, or its owner's, then.
    fn attach(&mut self, stream: StreamId, domain: Domain) -> Result<(), IommuError>;

    /// Denies `stream` everything again and forgets every translation made for it.
    ///
    /// # Errors
    /// [`IommuError`] when the stream is not attached or the hardware does not answer.
    fn detach(&mut self, stream: StreamId) -> Result<(), IommuError>;

    /// Forgets cached translations of the partition: to be called after its stage 2 has lost a mapping and before the memory gets
    /// another use.
    ///
    /// # Errors
    /// [`IommuError::Stuck`] when the hardware does not answer; the memory must not be used then.
    fn invalidate(&mut self, vmid: Vmid) -> Result<(), IommuError>;

    /// The oldest fault that was not asked for yet; `None` when there is none.
    fn next_fault(&mut self) -> Option<Fault>;
}

/// Hands at most `limit` faults to `report` and returns how many there were. A device can make faults faster than any CPU takes them:
/// one 64-byte access makes 16. The limit keeps a storm from holding up the CPU that serves the interrupt.
pub fn drain_faults(iommu: &mut dyn Iommu, limit: usize, report: &mut dyn FnMut(Fault)) -> usize {
    core::iter::from_fn(|| iommu.next_fault())
        .take(limit)
        .map(report)
        .count()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An IOMMU under a fault storm.
    struct Storm;

    impl Iommu for Storm {
        fn attach(&mut self, stream: StreamId, _domain: Domain) -> Result<(), IommuError> {
            Err(IommuError::NoSuchStream(stream))
        }

        fn detach(&mut self, stream: StreamId) -> Result<(), IommuError> {
            Err(IommuError::NotAttached(stream))
        }

        fn invalidate(&mut self, _vmid: Vmid) -> Result<(), IommuError> {
            Ok(())
        }

        fn next_fault(&mut self) -> Option<Fault> {
            Some(Fault {
                stream: StreamId::new(8),
                cause: Cause::Translation,
                address: None,
                access: None,
                class: None,
            })
        }
    }

    #[test]
    fn endless_faults_are_drained_up_to_the_limit() {
        let mut seen = 0;
        assert_eq!(drain_faults(&mut Storm, 16, &mut |_| seen += 1), 16);
        assert_eq!(seen, 16);
    }
}
