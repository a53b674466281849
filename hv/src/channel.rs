//! Memory that partitions share.

use model::channel::Channel;

use model::memory::{Mapping, MemoryKind};
use model::{Ipa, Pa};

use crate::event::FaultKind;
use crate::machine::Machine;
use crate::memory::place::place;

/// Fills every channel with zeros. Called once, before the first partition starts and never again: a partition that restarts must
/// not take away what the other ends of a channel hold there.
pub fn clear(channels: &[Channel], machine: &impl Machine) {
    for channel in channels {
        machine.zero(channel.memory.base, channel.memory.size);
    }
}

/// The channel that a fault at `address` was a write to, if the end among a partition's `memory` may only read.
pub fn read_only_end(
    channels: &'static [Channel],
    memory: &[Mapping],
    kind: FaultKind,
    address: Ipa,
) -> Option<&'static Channel> {
    if !matches!(kind, FaultKind::Write(_)) {
        return None;
    }
    let mut ends = memory.iter();
    let end = |mapping| place(mapping, address).map(|(pa, _): (Pa, u64)| pa);
    let may_only_read = |kind| matches!(kind, MemoryKind::ReadOnly | MemoryKind::DeviceReadOnly);
    let pa = ends.find_map(|one| end(one).filter(|_| may_only_read(one.kind)))?;
    channels.iter().find(|channel| {
        let offset = pa.offset_from(channel.memory.base);
        offset.is_some_and(|offset| offset < channel.memory.size)
    })
}

#[cfg(test)]
mod tests {
    use model::memory::PhysicalRange;

    use super::*;
    use crate::fake::{Done, LINUX, World, take_done};

    const CHANNEL: u64 = 0x9000_0000;

    fn channel(base: u64, size: u64) -> Channel {
        Channel {
            name: "c",
            memory: PhysicalRange {
                base: Pa::new(base),
                size,
            },
        }
    }

    #[test]
    fn every_channel_is_filled_with_zeros_as_a_whole() {
        let world = World::new();
        let channels = [channel(CHANNEL, 0x1_0000), channel(0xa000_0000, 0x1000)];
        take_done();
        clear(&channels, &world.hypervisor.machine);
        let zeroed = |to, size| Done::Zero { to, size };
        assert_eq!(
            take_done(),
            [zeroed(CHANNEL, 0x1_0000), zeroed(0xa000_0000, 0x1000)]
        );
    }

    /// A partition with an end of this kind, at another address than the channel's own.
    fn world_with_end(kind: MemoryKind) -> World {
        World::with(|linux| {
            let end = Mapping {
                ipa: Ipa::new(0x5000_0000),
                pa: Pa::new(CHANNEL),
                size: 0x1_0000,
                kind,
            };
            linux.memory = Vec::leak([linux.memory, &[end]].concat());
        })
    }

    #[test]
    fn only_a_write_to_a_read_only_end_is_named_after_its_channel() {
        use crate::exit::AbortCause::Permission;
        let channels: &'static [Channel] = Vec::leak(vec![channel(CHANNEL, 0x1_0000)]);
        let found = |kind, what, address| {
            let world = world_with_end(kind);
            let config = world.partition(LINUX).config;
            read_only_end(channels, config.memory, what, Ipa::new(address))
                .map(|channel| channel.name)
        };
        let (read, write) = (FaultKind::Read(Permission), FaultKind::Write(Permission));
        for (kind, what, address, expected) in [
            (MemoryKind::ReadOnly, write, 0x5000_0000, Some("c")),
            (MemoryKind::ReadOnly, write, 0x5000_ffff, Some("c")),
            (MemoryKind::ReadOnly, write, 0x5001_0000, None),
            (MemoryKind::ReadOnly, read, 0x5000_0000, None),
            (MemoryKind::DeviceReadOnly, write, 0x5000_0000, Some("c")),
            (MemoryKind::Shared, write, 0x5000_0000, None),
            (MemoryKind::Device, write, 0x5000_0000, None),
        ] {
            assert_eq!(
                found(kind, what, address),
                expected,
                "{kind:?} {what:?} {address:#x}"
            );
        }
    }

    #[test]
    fn start_of_an_end_writes_nothing_to_its_channel() {
        let world = world_with_end(MemoryKind::Shared);
        let mut guest = world.guest(LINUX, 0);
        guest.bring_up();
        let written: Vec<u64> = take_done()
            .into_iter()
            .filter_map(|done| match done {
                Done::Load { to, .. } | Done::Zero { to, .. } => Some(to),
                _ => None,
            })
            .collect();
        assert!(!written.is_empty());
        assert!(
            written
                .iter()
                .all(|to| !(CHANNEL..CHANNEL + 0x1_0000).contains(to)),
            "{written:x?}"
        );
    }
}
