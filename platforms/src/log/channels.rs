//! What is told of channels.

use hv::channel::read_only_end;
use hv::event::FaultKind;
use model::{Ipa, PartitionId};

use super::name;
use crate::SYSTEM;

/// Tells of a write to an end that may only read. False when the fault is another.
pub fn refused(partition: PartitionId, kind: FaultKind, address: u64, pc: u64, count: u64) -> bool {
    let config = SYSTEM.partitions.get(usize::from(partition.get()));
    let channel = config
        .and_then(|config| read_only_end(SYSTEM.channels, config.memory, kind, Ipa::new(address)));
    if let Some(channel) = channel {
        defmt::warn!(
            "{=str}: fault {=u64}: write to its read-only end of channel {=str} at {=u64:#x}, pc {=u64:#x}",
            name(partition),
            count,
            channel.name,
            address,
            pc
        );
    }
    channel.is_some()
}
