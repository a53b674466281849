//! Who is told of failures, of which, and how often.

use model::call::{Call, Status};
use model::device::Width;
use model::monitor::{Class, Notice};
use model::partition::FaultPolicy;
use model::{IntId, PartitionId};

use crate::event::Event;
use crate::fake::{DISTRIBUTOR, Guest, LINUX, RT, World, events};
use crate::monitor::record::SLOTS;

const PANIC: u64 = Call::Panic as u64;
const FAILURE: u64 = Call::Failure as u64;
const STATE: u64 = Call::State as u64;
const DENIED: u64 = Status::Denied as i64 as u64;
const NOT_PRESENT: u64 = Status::NotPresent as i64 as u64;
/// The SPI by which `RT` is told.
const SPI: u32 = 63;
/// Ticks of a second on the fake machine.
const SECOND: u64 = 1_000_000;

/// `RT` is told of what `LINUX` fails at, and `LINUX` goes on.
fn told() -> (Guest, Guest) {
    let world = World::with_both(|linux, rt| {
        linux.vcpus = rt.vcpus;
        linux.monitor.answers[Class::GuestPanic as usize] = Some(FaultPolicy::Inject);
        linux.monitor.notify = Vec::leak(vec![Notice {
            partition: PartitionId::new(1),
            intid: IntId::new(SPI),
        }]);
        rt.monitor.may_watch = Vec::leak(vec![PartitionId::new(0)]);
    });
    (world.started(LINUX), world.started(RT))
}

/// What the distributor's ISPENDR1 says.
fn is_pending(supervisor: &mut Guest) -> bool {
    supervisor.load(DISTRIBUTOR + 0x204, Width::Word) >> (SPI % 32) & 1 != 0
}

#[test]
fn failure_is_told_once_with_all_that_is_known_and_raises_the_interrupt() {
    let (mut linux, mut supervisor) = told();
    assert!(!is_pending(&mut supervisor));
    linux.hvc([PANIC, 7, 0, 0]);
    assert!(is_pending(&mut supervisor));
    supervisor.hvc([FAILURE, 0, 0, 0]);
    let who = (Class::GuestPanic as u64) << 8;
    let x = supervisor.vcpu.context.x;
    assert_eq!((x[0], x[1]), (0, who));
    assert_eq!((x[3], x[4], x[5]), (linux.pc(), 7, 1));
    supervisor.hvc([FAILURE, 0, 0, 0]);
    assert_eq!(supervisor.vcpu.context.x[0], NOT_PRESENT);
}

#[test]
fn failures_come_in_their_order_and_own_ones_are_not_told() {
    let (mut linux, mut supervisor) = told();
    linux.hvc([PANIC, 1, 0, 0]);
    supervisor.hvc([0xc600_0fff, 0, 0, 0]);
    linux.hvc([PANIC, 2, 0, 0]);
    for code in [1, 2] {
        supervisor.hvc([FAILURE, 0, 0, 0]);
        assert_eq!(supervisor.vcpu.context.x[4], code);
    }
    supervisor.hvc([FAILURE, 0, 0, 0]);
    assert_eq!(supervisor.vcpu.context.x[0], NOT_PRESENT);
}

#[test]
fn one_that_asks_too_late_has_lost_the_oldest_and_sees_it_by_the_count() {
    let (mut linux, mut supervisor) = told();
    let last = SLOTS as u64 + 3;
    for code in 1..=last {
        linux.hvc([PANIC, code, 0, 0]);
        crate::fake::advance(SECOND);
    }
    for code in 4..=last {
        supervisor.hvc([FAILURE, 0, 0, 0]);
        let x = supervisor.vcpu.context.x;
        assert_eq!((x[0], x[4], x[5]), (0, code, code));
    }
}

#[test]
fn storm_interrupts_as_often_as_it_is_told_and_no_more() {
    let (mut linux, mut supervisor) = told();
    (0..1_000).for_each(|_| {
        linux.hvc([PANIC, 7, 0, 0]);
    });
    let mut told = 0;
    loop {
        supervisor.hvc([FAILURE, 0, 0, 0]);
        if supervisor.vcpu.context.x[0] == NOT_PRESENT {
            break;
        }
        told += 1;
    }
    assert_eq!(told, crate::monitor::bucket::MOST);
}

#[test]
fn partition_that_is_told_of_nobody_is_denied_and_that_is_abuse() {
    let (mut linux, _supervisor) = told();
    linux.hvc([FAILURE, 0, 0, 0]);
    assert_eq!(linux.vcpu.context.x[0], DENIED);
    assert!(events().iter().any(|event| matches!(
        event,
        Event::Failed { failure, .. } if failure.class == Class::HypercallAbuse
    )));
}

#[test]
fn right_to_watch_tells_how_another_does_and_orders_nothing() {
    let (_linux, mut supervisor) = told();
    supervisor.hvc([STATE, 0, 0, 0]);
    assert_eq!(supervisor.vcpu.context.x[..2], [0, 2]);
    for order in STATE + 1..=STATE + 5 {
        supervisor.hvc([order, 0, 0, 0]);
        assert_eq!(supervisor.vcpu.context.x[0], DENIED, "{order:#x}");
    }
}
