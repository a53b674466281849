//! Who owns what: a ledger in which every byte of the physical address space, every interrupt, every DMA stream and every CPU has at
//! most one owner, or a sharing that both sides declare.
//!
//! Everybody is in it: the hypervisor with its image, its console, the interrupt controller and the IOMMUs; firmware with what it
//! reserves; partitions; channels; and the devices of the board that nobody asked for, since a partition must not reach those either.
//! A claim is entered before it is known whether it holds. [`Space::clashes`] then finds all that do not, at once.

mod ledger;
mod space;
mod streams;

pub(crate) use ledger::{Ledger, ledger};
pub(crate) use space::{Claim, Clash, Sharing, Space};
pub(crate) use streams::{MOST_ENTRIES, StreamClaim, Streams, clashes as stream_clashes};

/// Who owns something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Owner {
    /// Bulkhead itself.
    Hypervisor,
    /// What the board's device tree reserves.
    Firmware,
    /// A partition, by its place in the system file.
    Partition(usize),
    /// A channel, by its place in the system file.
    Channel(usize),
    /// The hypervisor, for the image of a partition that is a file of its own.
    File(usize),
    /// Nobody: a device that the system file gives to no partition.
    Board,
}

impl Owner {
    /// True when claims of the two never contradict each other. Device trees describe a place several times, and what nobody owns is in
    /// nobody's way but a partition's. The hypervisor and firmware do keep apart.
    pub fn does_not_mind(self, other: Self) -> bool {
        let of_board = |owner| matches!(owner, Self::Board | Self::Firmware);
        let unowned = |one, two| one == Self::Board && two == Self::Hypervisor;
        of_board(self) && of_board(other) || unowned(self, other) || unowned(other, self)
    }
}
