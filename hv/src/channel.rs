//! Memory that partitions share.

use model::channel::Channel;

use crate::machine::Machine;

/// Fills every channel with zeros. Called once, before the first partition starts and never again: a partition that restarts must
/// not take away what the other ends of a channel hold there.
pub fn clear(channels: &[Channel], machine: &impl Machine) {
    for channel in channels {
        machine.zero(channel.memory.base, channel.memory.size);
    }
}

#[cfg(test)]
mod tests {
    use model::memory::{Mapping, MemoryKind, PhysicalRange};
    use model::{Ipa, Pa};

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

    #[test]
    fn start_of_an_end_writes_nothing_to_its_channel() {
        let world = World::with(|linux| {
            let end = Mapping {
                ipa: Ipa::new(0x5000_0000),
                pa: Pa::new(CHANNEL),
                size: 0x1_0000,
                kind: MemoryKind::Shared,
            };
            linux.memory = Vec::leak([linux.memory, &[end]].concat());
        });
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
