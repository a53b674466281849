//! A pCPU that two virtual CPUs share, for tests.

use model::partition::{Partition, Vcpu as VcpuConfig};
use model::time::{Budget, Duration, TimeShare};
use model::{Mpidr, PcpuId};

use super::budget::Budgets;
use super::{Scheduler, bring_up, schedule};
use crate::fake::{
    FakeMachine, Guest, HYPERVISOR_TIMER, LINUX, Outcome, World, advance, pend, run_on, take_done,
};

/// Virtual CPU `mpidr` on the first pCPU, with 1 000 ns of each 10 000 and extra time.
fn shared(mpidr: u64) -> VcpuConfig {
    VcpuConfig {
        pcpu: PcpuId::new(0),
        mpidr: Mpidr::new(mpidr),
        time: TimeShare::Budget(Budget {
            period: Duration::from_ticks(10_000),
            budget: Duration::from_ticks(1_000),
            priority: 0,
            extra_time: true,
        }),
    }
}

/// The virtual CPUs of `LINUX` share a pCPU, and the first one runs. What was done so far is forgotten.
pub fn first_turn() -> (World, Guest) {
    first_turn_after(0, |_| ())
}

/// The same, with more that `change` says of the partition.
pub fn first_turn_with(change: impl FnOnce(&mut Partition)) -> (World, Guest) {
    first_turn_after(0, change)
}

/// The same, so many ticks after the machine's reset.
pub fn first_turn_after(ticks: u64, change: impl FnOnce(&mut Partition)) -> (World, Guest) {
    let world = World::with(|linux| {
        linux.vcpus = Vec::leak(vec![shared(0), shared(1)]);
        change(linux);
    });
    advance(ticks);
    let members = Vec::leak((0..2).map(|_| None).collect());
    let scheduler = Scheduler::new(world.hypervisor, Budgets::new(), members, 1_000_000_000);
    let scheduler = Box::leak(Box::new(scheduler));
    for id in 0..2 {
        assert!(scheduler.add(world.guest(LINUX, id).vcpu));
    }
    assert!(scheduler.begin());
    let mut first = None;
    let outcome = run_on(0, || first = bring_up::<FakeMachine>(scheduler));
    assert_eq!(outcome, Outcome::Resumed);
    let vcpu = first.expect("a virtual CPU of the pCPU");
    take_done();
    (world, Guest { vcpu, pcpu: 0 })
}

/// The scheduler decides anew, as after every exit.
pub fn decide(guest: &mut Guest) -> Outcome {
    pend(0, HYPERVISOR_TIMER);
    guest.pending_interrupt();
    let vcpu: *mut _ = guest.vcpu;
    // SAFETY: `guest` lends the only reference to it for as long as this one lives.
    let vcpu = unsafe { &mut *vcpu };
    run_on(0, || {
        schedule::<FakeMachine>(vcpu);
    })
}
