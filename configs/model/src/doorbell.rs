//! Doorbells of channels: how one end makes an interrupt of another.

use crate::ids::{IntId, Ipa, PartitionId};

/// The page by which an end of a channel rings the others. It is in the partition's view and not in its memory: a store there is an exit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Doorbell {
    /// First byte of the page.
    pub page: Ipa,
    /// What rings: the other ends that have a doorbell.
    pub rings: &'static [Bell],
}

/// An end of a channel that can be rung.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bell {
    /// Whose end it is: a place in [`System::partitions`](crate::system::System::partitions).
    pub partition: PartitionId,
    /// The interrupt that it gets: an SPI of its virtual distributor that nothing else raises.
    pub intid: IntId,
}
