//! What IOMMUs have to tell, in words.

use hv::dma::DmaEvent;
use smmu::{Access, Cause, Failure, Fault, IommuError, Source};

use crate::System;

/// Takes it down. Each device is heard only so often, so that all of it is told.
pub fn event<S: System>(event: DmaEvent) {
    match event {
        DmaEvent::Fault {
            partition: Some(partition),
            device,
            fault,
            count,
        } => defmt::warn!(
            "{=str}: fault {=u64}: DMA of {=str}, {=istr} {=u32:#x}: {=istr} at {=u64:#x}: {=istr}",
            S::name(partition),
            count,
            device,
            source(&fault).0,
            source(&fault).1,
            access(&fault),
            address(&fault),
            cause(&fault)
        ),
        DmaEvent::Fault {
            partition: None,
            device,
            fault,
            ..
        } => defmt::warn!(
            "{=str}: DMA of nobody's {=istr} {=u32:#x} refused: {=istr} at {=u64:#x}: {=istr}",
            device,
            source(&fault).0,
            source(&fault).1,
            access(&fault),
            address(&fault),
            cause(&fault)
        ),
        DmaEvent::Muted { device } => {
            defmt::warn!("{=str}: its further DMA faults are not told", device);
        }
        DmaEvent::Failure { iommu, failure } => {
            defmt::warn!("{=str}: {=istr}", iommu, self::failure(failure));
        }
        DmaEvent::Error { iommu, error } => {
            defmt::error!("{=str}: {=istr}", iommu, self::error(error));
        }
    }
}

/// The number by which the hardware names who made the access, and what it is the number of.
fn source(fault: &Fault) -> (defmt::Str, u32) {
    match fault.source {
        Source::Stream(stream) => (defmt::intern!("stream"), stream.get()),
        Source::Partition(vmid) => (defmt::intern!("one of VMID"), u32::from(vmid.get())),
        Source::Nobody => (defmt::intern!("one of VMID"), 0),
    }
}

fn access(fault: &Fault) -> defmt::Str {
    match fault.access {
        Some(Access::Read) => defmt::intern!("read"),
        Some(Access::Write) => defmt::intern!("write"),
        // A VT-d unit knows of all requests what they are, but for those of interrupts.
        None if cfg!(feature = "vtd") => defmt::intern!("interrupt"),
        None => defmt::intern!("access"),
    }
}

/// 0 where the hardware does not say.
fn address(fault: &Fault) -> u64 {
    fault.address.map_or(0, model::Ipa::get)
}

fn cause(fault: &Fault) -> defmt::Str {
    match fault.cause {
        Cause::Translation => defmt::intern!("nothing is mapped there"),
        Cause::AddressSize => defmt::intern!("too wide an address"),
        Cause::AccessFlag => defmt::intern!("no access flag"),
        Cause::Permission => defmt::intern!("no right to it"),
        Cause::UnknownStream => defmt::intern!("unknown stream"),
        Cause::Denied => defmt::intern!("the stream is denied everything"),
        // Also a stream that is attached to nothing: its entry is not valid.
        Cause::BadConfiguration => defmt::intern!("the stream has no translation"),
        Cause::ExternalAbort => defmt::intern!("bus error at the tables"),
        Cause::Other(_) => defmt::intern!("a cause that is not known"),
    }
}

fn failure(failure: Failure) -> defmt::Str {
    match failure {
        Failure::FaultsLost => defmt::intern!("some DMA faults are lost"),
        Failure::FaultsIgnored => {
            defmt::intern!("DMA faults come without end and are told no more")
        }
        Failure::Prefetches => {
            defmt::intern!(
                "the secure side has locked its prefetcher: MMU-500 erratum 841119 stands"
            )
        }
        Failure::OutOfService => defmt::intern!("it has failed and denies everything"),
    }
}

fn error(error: IommuError) -> defmt::Str {
    match error {
        IommuError::NoSuchStream(_) => defmt::intern!("a stream does not exist"),
        IommuError::Attached { .. } => defmt::intern!("a stream has another owner"),
        IommuError::NotAttached(_) => defmt::intern!("a stream belongs to nobody"),
        IommuError::IpaBits(_) => defmt::intern!("partitions' addresses are too wide for it"),
        IommuError::Stuck(_) => defmt::intern!("it does not answer"),
        IommuError::Refused { .. } => defmt::intern!("it refused a command"),
        IommuError::Lacks(_) => defmt::intern!("it lacks a feature"),
        IommuError::TooFew(_) => defmt::intern!("partitions' devices are too many for it"),
        IommuError::Memory => defmt::intern!("its tables are too small"),
    }
}
