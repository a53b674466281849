//! Fault records, the same for every kind of IOMMU.

use model::{Ipa, StreamId, Vmid};

/// An access of a device that the IOMMU refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Who made it, as far as the hardware says so.
    pub source: Source,
    /// Why it was refused.
    pub cause: Cause,
    /// Where it went, in the addresses of the device's partition, when the hardware says so.
    pub address: Option<Ipa>,
    /// What it would have done, when the hardware says so.
    pub access: Option<Access>,
    /// What the IOMMU was looking up for it, when the hardware says so.
    pub class: Option<Class>,
}

/// Who made an access that was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// This stream.
    Stream(StreamId),
    /// One of the streams that are attached to the partition with this VMID: the hardware does not say which.
    Partition(Vmid),
    /// One of the streams that are attached to no partition: the hardware does not say which. Such a fault is told once, until a stream is
    /// attached or detached, since nobody can ask for it to be muted.
    Nobody,
}

/// What a device tried to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Read memory.
    Read,
    /// Write memory.
    Write,
}

/// What an IOMMU was looking up when it refused an access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// The address that the device gave.
    Input,
    /// A descriptor of a translation table.
    Table,
    /// The description of the stream's first stage.
    Context,
}

/// Why an access was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Nothing is mapped at the address.
    Translation,
    /// The address, or one in a table, is wider than it may be.
    AddressSize,
    /// A descriptor lacks its access flag.
    AccessFlag,
    /// Memory is mapped there, but not for this kind of access.
    Permission,
    /// No stream has this number.
    UnknownStream,
    /// The stream is not set up, or set up to be denied.
    Denied,
    /// The stream's description is malformed: an error of the hypervisor or damage to its memory.
    BadConfiguration,
    /// Memory that the IOMMU itself reads answered with an error.
    ExternalAbort,
    /// Something else, in the hardware's own numbering.
    Other(u8),
}

/// Something that is about the whole IOMMU rather than about one access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Faults came faster than they were asked for, or could not be written to memory: some are not known.
    FaultsLost,
    /// Faults came without end and are not recorded any more. They are still refused.
    FaultsIgnored,
    /// It fetches pages in advance and cannot be kept from it: the secure side holds a lock, and errata of its hardware stand.
    Prefetches,
    /// The IOMMU has failed: it denies every access from here on.
    OutOfService,
}
