//! The last events of a CPU that has found a failure, on the console: those that the failure's record has, and the failure itself.

use super::record::Trace;
use crate::console::ring::CAPACITY;
use crate::machine::Machine;
use crate::partition::Partition;
use crate::report::Line;
use crate::vcpu::Hypervisor;

/// Events in a line.
const IN_A_LINE: usize = 3;
/// Room in bytes that is left to what else there is to say, or else nothing is told: a failure itself is told before.
const LEFT: usize = CAPACITY / 2;

impl<M: Machine> Hypervisor<M> {
    /// Tells what the calling pCPU did last, behind the failure of a partition.
    pub(super) fn tell_last(&self, partition: &Partition) {
        let console = self.machine.console();
        let trace = Trace::of(crate::trace::last(&self.machine, Trace::MOST));
        let mut events = trace.events().peekable();
        while events.peek().is_some() && console.room() >= LEFT {
            let mut line = Line::default();
            line.put(format_args!("{}: last events", partition.config.name));
            for event in events.by_ref().take(IN_A_LINE) {
                line.put(format_args!(" {event}"));
            }
            line.put(format_args!("\n"));
            console.say(line.bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use model::call::Call;
    use model::monitor::Class;
    use model::partition::FaultPolicy;
    use model::{PartitionId, VcpuId};

    use super::*;
    use crate::fake::{Guest, LINUX, World, take_wire};
    use crate::trace::{Event, Kind, Who};

    /// A guest that goes on after each of its failures.
    fn guest() -> Guest {
        let world = World::with(|linux| linux.monitor.answers[5] = Some(FaultPolicy::Inject));
        let guest = world.started(LINUX);
        take_wire();
        guest
    }

    fn fail(guest: &mut Guest) {
        guest.hvc([Call::Panic as u64, 7, 0, 0]);
    }

    #[test]
    fn failure_is_told_with_what_led_to_it() {
        let mut guest = guest();
        fail(&mut guest);
        for _ in 0..10 {
            guest.vcpu.hypervisor.pump_console();
        }
        let told = take_wire();
        assert!(told.contains("[hv] linux: last events "), "{told}");
        assert!(told.contains(" exit:sync/0.0=0x5a000000@1000"), "{told}");
    }

    #[test]
    fn storm_leaves_room_for_what_else_is_told() {
        let mut guest = guest();
        crate::fake::set_room(0);
        for _ in 0..1_000 {
            fail(&mut guest);
        }
        assert!(guest.vcpu.machine().console().room() >= LEFT - Line::LONGEST);
    }

    #[test]
    fn longest_line_fits() {
        for class in Class::ALL {
            let longest = Event {
                at: u64::MAX >> 8,
                kind: Kind::failed(class),
                who: Who::vcpu(PartitionId::new(254), VcpuId::new(7)),
                value: u64::MAX >> 16,
            };
            let event = longest.to_string().len() + 1;
            assert!(24 + ": last events\n".len() + IN_A_LINE * event <= Line::LONGEST);
        }
    }
}
