//! When interrupts are a storm, and when a budget is missed.

use model::monitor::Class;
use model::partition::FaultPolicy;

use crate::fake::{Guest, LINUX, OWNED_SPI, World, advance};

/// Ticks of a window on the fake machine.
const WINDOW: u64 = 100_000;
/// A second; a tenth of it in a window.
const LIMIT: u32 = 200;

fn limited(limit: Option<u32>) -> (World, Guest) {
    let world = World::with_both(|linux, rt| {
        linux.vcpus = rt.vcpus;
        linux.on_fault = FaultPolicy::Stop;
        linux.monitor.interrupt_limit = limit;
    });
    (world, world.started(LINUX))
}

/// So many interrupts come in a window, and the next alarm rings at its end.
fn window(world: World, guest: &mut Guest, interrupts: u32) {
    (0..interrupts).for_each(|_| {
        guest.interrupt(OWNED_SPI);
    });
    advance(WINDOW);
    world.hypervisor.look_after_partitions();
}

fn storms(world: World) -> u64 {
    world.partition(LINUX).health.count(Class::InterruptStorm)
}

#[test]
fn as_many_interrupts_as_the_limit_allows_are_no_storm_and_one_more_is() {
    let (world, mut guest) = limited(Some(LIMIT));
    window(world, &mut guest, LIMIT / 10);
    assert_eq!(storms(world), 0);
    // One more than in a window of its length. Each exit of the fake machine takes no time.
    window(world, &mut guest, LIMIT / 10 + 1);
    assert_eq!(storms(world), 1);
    let power = world.partition(LINUX).power.lock();
    assert_eq!(power.lifecycle().name(), "stopping");
}

#[test]
fn interrupts_of_one_window_do_not_count_in_the_next() {
    let (world, mut guest) = limited(Some(LIMIT));
    for _ in 0..20 {
        window(world, &mut guest, LIMIT / 10);
    }
    assert_eq!(storms(world), 0);
}

#[test]
fn partition_without_a_limit_has_no_window_and_sets_no_alarm() {
    let (world, mut guest) = limited(None);
    window(world, &mut guest, 10_000);
    assert_eq!(storms(world), 0);
    assert_eq!(world.hypervisor.due(), u64::MAX);
}

#[test]
fn window_that_is_looked_at_late_allows_as_much_more() {
    let (world, mut guest) = limited(Some(LIMIT));
    advance(9 * WINDOW);
    window(world, &mut guest, LIMIT);
    assert_eq!(storms(world), 0);
}
