//! Partitions that start after others: the last of those that begins to run lets them go.

use core::sync::atomic::Ordering;

use model::PartitionId;

use crate::machine::{Cpu, Machine};
use crate::partition::Partition;
use crate::power::Lifecycle;
use crate::vcpu::Hypervisor;

impl<M: Machine> Hypervisor<M> {
    /// A partition begins to run. The first time others may wait for that.
    pub(super) fn has_begun(&self, partition: &Partition) {
        if partition.health.has_begun.swap(true, Ordering::AcqRel) {
            return;
        }
        for other in self.partitions {
            if other.config.monitor.after.contains(&partition.id) {
                self.begin_behind_others(other);
            }
        }
    }

    /// Lets a partition that waits for others start after its delay, if all of them have begun to run and it was not started before by order.
    ///
    /// It looks after it has been held, and each of the others after it has begun, so whoever comes last sees all.
    pub(super) fn begin_behind_others(&self, partition: &Partition) {
        let monitor = &partition.config.monitor;
        let has_begun = |id: &PartitionId| {
            let one = self.partitions.get(usize::from(id.get()));
            one.is_some_and(|one| one.health.has_begun.load(Ordering::Acquire))
        };
        if !monitor.automatic || !monitor.after.iter().all(has_begun) || has_begun(&partition.id) {
            return;
        }
        let at = M::Cpu::now().saturating_add(self.watch.ticks(monitor.delay));
        {
            let mut power = partition.power.lock();
            if power.lifecycle() != Lifecycle::Stopped {
                return;
            }
            power.wait(at);
        }
        self.look_again_at(at);
    }
}

#[cfg(test)]
mod tests {
    use model::PartitionId;
    use model::partition::Partition as Config;

    use crate::fake::{
        FREQUENCY, Guest, LINUX, Outcome, RT, SYSTEM_OFF, SYSTEM_RESET, World, advance,
    };

    /// A millisecond, in nanoseconds and in ticks.
    const MS: u64 = 1_000_000;
    const TICKS: u64 = FREQUENCY / 1_000;

    /// `LINUX` starts after `RT`, on pCPUs of their own.
    fn world(change: impl FnOnce(&mut Config)) -> World {
        World::with_one_vcpu_each(|linux, _| {
            linux.monitor.after = Vec::leak(vec![PartitionId::new(RT as u8)]);
            change(linux);
        })
    }

    /// `LINUX` after it was brought up: it waits.
    fn held(world: &World) -> Guest {
        let mut linux = world.guest(LINUX, 0);
        assert_eq!(linux.bring_up(), Outcome::Waiting);
        assert_eq!(life(world), "stopped");
        linux
    }

    fn life(world: &World) -> &'static str {
        world.partition(LINUX).power.lock().lifecycle().name()
    }

    #[test]
    fn partition_starts_once_the_one_before_it_has_begun() {
        let world = world(|_| {});
        let mut linux = held(&world);
        world.hypervisor.look_after_partitions();
        assert_eq!(linux.wait_again(), Outcome::Waiting);
        let _rt = world.started(RT);
        world.hypervisor.look_after_partitions();
        assert_eq!(linux.wait_again(), Outcome::Resumed);
        assert_eq!(life(&world), "running");
    }

    #[test]
    fn partition_that_comes_later_than_the_one_before_it_starts_at_once() {
        let world = world(|_| {});
        let _rt = world.started(RT);
        let mut linux = world.guest(LINUX, 0);
        linux.bring_up();
        world.hypervisor.look_after_partitions();
        assert_eq!(linux.wait_again(), Outcome::Resumed);
    }

    #[test]
    fn delay_begins_when_the_one_before_has_begun() {
        let world = world(|linux| linux.monitor.delay = 3 * MS);
        let mut linux = held(&world);
        advance(100 * TICKS);
        let _rt = world.started(RT);
        advance(2 * TICKS);
        world.hypervisor.look_after_partitions();
        assert_eq!(linux.wait_again(), Outcome::Waiting);
        assert_eq!(life(&world), "waiting");
        advance(2 * TICKS);
        world.hypervisor.look_after_partitions();
        assert_eq!(linux.wait_again(), Outcome::Resumed);
    }

    #[test]
    fn partition_starts_behind_the_last_of_those_before_it() {
        // The third one of this system never begins.
        let world = world(|linux| {
            let before = [RT as u8, 9].map(PartitionId::new);
            linux.monitor.after = Vec::leak(before.to_vec());
        });
        let mut linux = held(&world);
        let _rt = world.started(RT);
        world.hypervisor.look_after_partitions();
        assert_eq!(
            (linux.wait_again(), life(&world)),
            (Outcome::Waiting, "stopped")
        );
    }

    #[test]
    fn restart_of_the_one_before_changes_nothing() {
        let world = world(|_| {});
        let mut linux = held(&world);
        let mut rt = world.started(RT);
        world.hypervisor.look_after_partitions();
        linux.wait_again();
        assert_eq!(linux.hvc([SYSTEM_OFF, 0, 0, 0]), Outcome::Waiting);
        rt.hvc([SYSTEM_RESET, 0, 0, 0]);
        world.hypervisor.look_after_partitions();
        assert_eq!(
            (linux.wait_again(), life(&world)),
            (Outcome::Waiting, "stopped")
        );
    }

    #[test]
    fn partition_that_is_held_for_an_order_is_not_started_by_others() {
        let world = world(|linux| linux.monitor.automatic = false);
        let _linux = held(&world);
        let _rt = world.started(RT);
        assert_eq!(life(&world), "stopped");
    }
}
