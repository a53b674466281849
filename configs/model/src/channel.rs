//! Memory that partitions share by declaration.

use crate::memory::PhysicalRange;

/// A channel: memory that belongs to no partition and that its ends see through mappings of their own
/// ([`Shared`](crate::memory::MemoryKind::Shared) or [`ReadOnly`](crate::memory::MemoryKind::ReadOnly)).
///
/// It is zero when the first partition starts, and only then: an end that restarts finds what its peers left there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Channel {
    /// Its name in the system file, unique among channels.
    pub name: &'static str,
    /// Where it is. It overlaps no partition's RAM and no other channel.
    pub memory: PhysicalRange,
}
