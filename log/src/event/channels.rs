//! What is told of channels.

use hv::channel::read_only_end;
use hv::event::FaultKind;
use model::{Ipa, PartitionId};

use crate::System;

/// Tells of a write to an end that may only read. False when the fault is another.
pub fn refused<S: System>(
    partition: PartitionId,
    kind: FaultKind,
    address: u64,
    pc: u64,
    count: u64,
) -> bool {
    let channel = S::memory(partition)
        .and_then(|memory| read_only_end(S::CHANNELS, memory, kind, Ipa::new(address)));
    if let Some(channel) = channel {
        defmt::warn!(
            "{=str}: fault {=u64}: write to its read-only end of channel {=str} at {=u64:#x}, pc {=u64:#x}",
            S::name(partition),
            count,
            channel.name,
            address,
            pc
        );
    }
    channel.is_some()
}
