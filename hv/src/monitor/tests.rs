//! Failures, their answers and orders on the fake machine.

use model::PartitionId;
use model::call::{Call, Status};
use model::monitor::{Class, Monitor};
use model::partition::{FaultPolicy, Partition as Config};
use model::system::EndState;

use super::*;
use crate::fake::{
    Done, FakeCpu, Guest, HYPERVISOR_TIMER, LINUX, NOWHERE, Outcome, RT, SYSTEM_OFF, UNWATCHED,
    World, advance, alarm, events, take_done,
};
use model::device::Width;

const STATE: u64 = Call::State as u64;
const START: u64 = Call::Start as u64;
const STOP: u64 = Call::Stop as u64;
const RESTART: u64 = Call::Restart as u64;
const SUSPEND: u64 = Call::Suspend as u64;
const RESUME: u64 = Call::Resume as u64;
const PANIC: u64 = Call::Panic as u64;
const ALIVE: u64 = Call::Alive as u64;
const DENIED: i64 = Status::Denied as i64;
#[cfg(feature = "trace")]
const NOT_PRESENT: i64 = Status::NotPresent as i64;
const NOT_NOW: i64 = Status::InvalidParameters as i64;
/// Ticks and nanoseconds of a millisecond on the fake machine.
const TICKS: u64 = 1_000;
const MS: u64 = 1_000_000;

fn watched(change: impl FnOnce(&mut Config)) -> World {
    World::with_both(|linux, rt| {
        // One virtual CPU, so that nothing waits for a second.
        linux.vcpus = rt.vcpus;
        change(linux);
    })
}

/// Makes a failure of the class on purpose, if a guest can.
fn fail(guest: &mut Guest, class: Class) -> Option<Outcome> {
    Some(match class {
        Class::IllegalAccess => guest.store(NOWHERE, Width::Word, 1),
        Class::UndefinedTrap => guest.exit(
            crate::arch::aarch64::guest::Reason::Synchronous,
            crate::arch::aarch64::decode::Syndrome {
                esr: 0,
                far: 0,
                hpfar: 0,
            },
        ),
        Class::HypercallAbuse => guest.hvc([0xc600_0fff, 0, 0, 0]),
        Class::GuestPanic => guest.hvc([PANIC, 7, 0, 0]),
        Class::Watchdog | Class::IommuFault | Class::InterruptStorm | Class::MissedBudget => {
            return None;
        }
    })
}

fn lifecycle(world: World, partition: usize) -> &'static str {
    world.partition(partition).power.lock().lifecycle().name()
}

#[test]
fn each_class_that_a_guest_can_cause_is_counted_and_answered_as_its_own_policy_says() {
    for class in Class::ALL {
        for answer in [
            FaultPolicy::Inject,
            FaultPolicy::Stop,
            FaultPolicy::Restart,
            FaultPolicy::StopSystem,
        ] {
            let world = watched(|linux| linux.monitor.answers[class as usize] = Some(answer));
            let mut guest = world.started(LINUX);
            let Some(outcome) = fail(&mut guest, class) else {
                continue;
            };
            let power = world.partition(LINUX).power.lock();
            let (state, restarts) = (power.lifecycle().name(), power.restarts());
            drop(power);
            let expected = match answer {
                FaultPolicy::Inject => (Outcome::Resumed, "running", 0),
                FaultPolicy::Stop => (Outcome::Waiting, "stopped", 0),
                FaultPolicy::Restart => (Outcome::Resumed, "running", 1),
                FaultPolicy::StopSystem => (Outcome::Ended(EndState::Halt), "running", 0),
            };
            assert_eq!((outcome, state, restarts), expected, "{class:?} {answer:?}");
            assert_eq!(world.partition(LINUX).health.count(class), 1, "{class:?}");
        }
    }
}

#[test]
fn answer_that_the_file_does_not_name_is_on_fault_but_for_what_the_guest_can_handle() {
    for class in Class::ALL {
        let harmless = matches!(class, Class::UndefinedTrap | Class::HypercallAbuse);
        let expected = if harmless {
            FaultPolicy::Inject
        } else {
            FaultPolicy::Stop
        };
        assert_eq!(UNWATCHED.answer(class, FaultPolicy::Stop), expected);
    }
}

#[test]
fn panic_of_a_guest_carries_its_code_and_place() {
    let world = watched(|linux| linux.monitor.answers[5] = Some(FaultPolicy::Inject));
    let mut guest = world.started(LINUX);
    guest.hvc([PANIC, 7, 0, 0]);
    assert_eq!(guest.x0(), 0);
    let failure = Failure {
        class: Class::GuestPanic,
        vcpu: Some(VcpuId::new(0)),
        pc: guest.pc(),
        value: 7,
    };
    assert!(events().contains(&Event::Failed {
        partition: PartitionId::new(0),
        failure,
        count: 1
    }));
}

#[test]
fn record_of_a_failure_has_the_registers_of_the_virtual_cpu() {
    let world = watched(|linux| linux.monitor.answers[5] = Some(FaultPolicy::Inject));
    let mut guest = world.started(LINUX);
    guest.vcpu.context.x[30] = 0x1e;
    guest.hvc([PANIC, 7, 0, 0]);
    let records = world.hypervisor.watch.records.as_ref();
    let record = records.and_then(|records| records.get(0)).unwrap();
    let registers = record.registers.unwrap();
    assert_eq!((registers.x[1], registers.x[30]), (7, 0x1e));
    assert_eq!(registers.stacks, FakeCpu::stacks());
    assert_eq!(registers.pstate, guest.vcpu.context.pstate);
}

#[cfg(feature = "trace")]
#[test]
fn record_of_a_failure_has_what_its_cpu_did_last() {
    let world = watched(|linux| linux.monitor.answers[5] = Some(FaultPolicy::Inject));
    let mut guest = world.started(LINUX);
    let failure = [
        "exit:sync/0.0=0x5a000000@1000",
        "failed:guest-panic/0.0=0x7@1000",
    ];
    for number in 0..=record::Trace::MOST {
        guest.hvc([PANIC, 7, 0, 0]);
        let records = world.hypervisor.watch.records.as_ref();
        let last = records
            .and_then(|records| records.get(number as u64))
            .unwrap();
        let kept: Vec<_> = last.trace.events().map(|event| event.to_string()).collect();
        // Each left an exit and what became of it; the exit of this one is the newest event.
        let failures = failure.into_iter().cycle().take(2 * number + 1);
        let all: Vec<_> = ["started/0@1000"].into_iter().chain(failures).collect();
        let newest = all.len().saturating_sub(record::Trace::MOST);
        assert_eq!(kept, all[newest..]);
    }
}

#[test]
fn record_of_a_watchdog_has_no_registers() {
    let world = watched(|linux| linux.monitor.watchdog = Some(5 * MS));
    let _guest = world.started(LINUX);
    advance(6 * TICKS);
    world.hypervisor.look_after_partitions();
    let records = world.hypervisor.watch.records.as_ref();
    let record = records.and_then(|records| records.get(0)).unwrap();
    assert_eq!((record.class, record.registers), (4, None));
}

#[test]
fn hypercall_with_a_number_in_the_instruction_is_abuse() {
    let world = watched(|_| {});
    let mut guest = world.started(LINUX);
    let syndrome = crate::arch::aarch64::decode::Syndrome {
        esr: 0x16 << 26 | 1 << 25 | 5,
        far: 0,
        hpfar: 0,
    };
    guest.exit(crate::arch::aarch64::guest::Reason::Synchronous, syndrome);
    let health = &world.partition(LINUX).health;
    assert_eq!(health.count(Class::HypercallAbuse), 1);
}

#[test]
fn calls_of_other_owners_are_no_abuse() {
    let world = watched(|_| {});
    let mut guest = world.started(LINUX);
    // What Linux asks for: KVM's UID, the true random number service, a function that PSCI does not have.
    for function in [0x8600_ff01, 0x8400_0050, 0x8400_0018] {
        guest.hvc([function, 0, 0, 0]);
    }
    let health = &world.partition(LINUX).health;
    assert_eq!(health.count(Class::HypercallAbuse), 0);
}

#[test]
fn storm_of_failures_is_counted_in_full_and_told_as_often_as_the_bucket_lasts() {
    let world = watched(|_| {});
    let mut guest = world.started(LINUX);
    for _ in 0..1_000 {
        guest.hvc([0xc600_0fff, 0, 0, 0]);
    }
    let told = events().into_iter();
    let told = told.filter(|event| matches!(event, Event::Failed { .. }));
    assert_eq!(told.count() as u64, bucket::MOST);
    let health = &world.partition(LINUX).health;
    assert_eq!(health.count(Class::HypercallAbuse), 1_000);
}

#[test]
fn report_has_the_failures_of_a_partition_by_class_once_there_is_one() {
    let world = watched(|_| {});
    let mut guest = world.started(LINUX);
    let text = || {
        let mut line = Line::default();
        report(world.partition(LINUX), &mut line);
        String::from_utf8(line.bytes().to_vec()).unwrap()
    };
    assert_eq!(text(), "");
    guest.hvc([0xc600_0fff, 0, 0, 0]);
    assert_eq!(
        text(),
        "report failures partition=linux illegal-access=0 undefined-trap=0 hypercall-abuse=1 iommu-fault=0 watchdog=0 guest-panic=0 interrupt-storm=0 missed-budget=0\n"
    );
}

// Limits and pauses.

fn restarting(limit: Option<u32>, back_off: u64, at_limit: FaultPolicy) -> (World, Guest) {
    let world = watched(|linux| {
        linux.on_fault = FaultPolicy::Restart;
        linux.monitor = Monitor {
            limit,
            back_off,
            at_limit,
            ..UNWATCHED
        };
    });
    let guest = world.started(LINUX);
    (world, guest)
}

#[test]
fn partition_stops_at_its_limit_of_restarts_and_the_reason_is_told() {
    let (world, mut guest) = restarting(Some(2), 0, FaultPolicy::Stop);
    for number in 1..=2 {
        assert_eq!(guest.store(NOWHERE, Width::Word, 1), Outcome::Resumed);
        assert!(events().contains(&Event::Restarting {
            partition: PartitionId::new(0),
            class: Class::IllegalAccess,
            number
        }));
    }
    assert_eq!(guest.store(NOWHERE, Width::Word, 1), Outcome::Waiting);
    assert_eq!(lifecycle(world, LINUX), "stopped");
    assert!(events().contains(&Event::LimitReached {
        partition: PartitionId::new(0),
        class: Class::IllegalAccess,
        restarts: 2
    }));
}

#[test]
fn limit_can_end_the_system() {
    let (_, mut guest) = restarting(Some(1), 0, FaultPolicy::StopSystem);
    guest.store(NOWHERE, Width::Word, 1);
    let outcome = guest.store(NOWHERE, Width::Word, 1);
    assert_eq!(outcome, Outcome::Ended(EndState::Halt));
}

#[test]
fn resets_that_the_guest_asks_for_are_not_limited() {
    let (world, mut guest) = restarting(Some(1), 0, FaultPolicy::Stop);
    for _ in 0..5 {
        guest.hvc([crate::fake::SYSTEM_RESET, 0, 0, 0]);
    }
    assert_eq!(lifecycle(world, LINUX), "running");
}

#[test]
fn restart_with_a_pause_begins_when_the_alarm_rings_and_not_before() {
    let (world, mut guest) = restarting(None, 5 * MS, FaultPolicy::Stop);
    let failed = FakeCpu::now();
    assert_eq!(guest.store(NOWHERE, Width::Word, 1), Outcome::Waiting);
    assert_eq!(lifecycle(world, LINUX), "waiting");
    let rings = alarm(guest.pcpu).expect("an alarm");
    assert!((failed + 5 * TICKS..failed + 6 * TICKS).contains(&rings));
    advance(rings - FakeCpu::now() - 1);
    world.hypervisor.look_after_partitions();
    assert_eq!(lifecycle(world, LINUX), "waiting");
    advance(1);
    guest.interrupt(HYPERVISOR_TIMER);
    assert_eq!(guest.wait_again(), Outcome::Resumed);
    let power = world.partition(LINUX).power.lock();
    assert_eq!((power.lifecycle().name(), power.restarts()), ("running", 1));
}

#[test]
fn devices_of_a_partition_that_pauses_are_denied_before_it_waits() {
    let (_, mut guest) = restarting(None, 5 * MS, FaultPolicy::Stop);
    guest.store(NOWHERE, Width::Word, 1);
    assert!(
        !take_done()
            .iter()
            .any(|done| matches!(done, Done::Load { .. }))
    );
}

// Watchdog.

#[test]
fn partition_that_says_that_it_is_alive_in_time_is_left_alone_and_fails_when_it_stops_to() {
    let world = watched(|linux| {
        linux.on_fault = FaultPolicy::Restart;
        linux.monitor.watchdog = Some(5 * MS);
    });
    let mut guest = world.started(LINUX);
    for _ in 0..4 {
        advance(4 * TICKS);
        guest.hvc([ALIVE, 0, 0, 0]);
        world.hypervisor.look_after_partitions();
    }
    let health = &world.partition(LINUX).health;
    assert_eq!(health.count(Class::Watchdog), 0);
    advance(6 * TICKS);
    world.hypervisor.look_after_partitions();
    assert_eq!(health.count(Class::Watchdog), 1);
    assert_eq!(lifecycle(world, LINUX), "stopping");
}

// Starts that wait, and orders.

/// `RT` may control `LINUX`; what runs are both.
fn controlled(change: impl FnOnce(&mut Config)) -> World {
    World::with_one_vcpu_each(|linux, rt| {
        rt.monitor.may_control = Vec::leak(vec![PartitionId::new(0)]);
        change(linux);
    })
}

#[test]
fn partition_that_is_held_starts_when_another_one_starts_it() {
    let world = controlled(|linux| linux.monitor.automatic = false);
    let mut linux = world.guest(LINUX, 0);
    assert_eq!(linux.bring_up(), Outcome::Waiting);
    assert_eq!(lifecycle(world, LINUX), "stopped");
    let mut rt = world.started(RT);
    rt.hvc([START, 0, 0, 0]);
    assert_eq!(rt.x0(), 0);
    assert_eq!(linux.wait_again(), Outcome::Resumed);
    let power = world.partition(LINUX).power.lock();
    assert_eq!((power.lifecycle().name(), power.restarts()), ("running", 0));
}

#[test]
fn start_with_a_delay_waits_for_it() {
    let world = watched(|linux| linux.monitor.delay = 3 * MS);
    let mut guest = world.guest(LINUX, 0);
    assert_eq!(guest.bring_up(), Outcome::Waiting);
    assert_eq!(lifecycle(world, LINUX), "waiting");
    advance(4 * TICKS);
    world.hypervisor.look_after_partitions();
    assert_eq!(guest.wait_again(), Outcome::Resumed);
}

#[test]
fn order_that_the_file_does_not_grant_is_denied_counted_and_changes_nothing() {
    let world = controlled(|_| {});
    let mut linux = world.started(LINUX);
    let _rt = world.started(RT);
    // Another one, itself, one that does not exist, one whose number is no number of a partition.
    for target in [1, 0, 9, 0x100] {
        for function in STATE..=RESUME {
            linux.hvc([function, target, 0, 0]);
            assert_eq!(linux.x0(), DENIED, "{function:#x} of {target}");
        }
    }
    assert_eq!(lifecycle(world, RT), "running");
    assert_eq!(lifecycle(world, LINUX), "running");
    let health = &world.partition(LINUX).health;
    assert_eq!(health.count(Class::HypercallAbuse), 24);
}

#[test]
fn partition_is_suspended_and_resumed_with_its_state_and_told_about_in_between() {
    let world = controlled(|_| {});
    let mut linux = world.started(LINUX);
    let mut rt = world.started(RT);
    linux.vcpu.context.x[9] = 99;
    rt.hvc([SUSPEND, 0, 0, 0]);
    assert_eq!((rt.x0(), lifecycle(world, LINUX)), (0, "suspended"));
    assert_eq!(linux.pending_interrupt(), Outcome::Waiting);
    rt.hvc([SUSPEND, 0, 0, 0]);
    assert_eq!(rt.x0(), NOT_NOW);
    rt.hvc([STATE, 0, 0, 0]);
    assert_eq!(rt.vcpu.context.x[..4], [0, 3, 0, 0]);
    rt.hvc([RESUME, 0, 0, 0]);
    assert_eq!((rt.x0(), lifecycle(world, LINUX)), (0, "running"));
    assert_eq!(linux.pending_interrupt(), Outcome::Resumed);
    assert_eq!(linux.vcpu.context.x[9], 99);
}

#[test]
fn suspended_partition_can_be_stopped_and_started_again() {
    let world = controlled(|_| {});
    let mut linux = world.started(LINUX);
    let mut rt = world.started(RT);
    rt.hvc([SUSPEND, 0, 0, 0]);
    rt.hvc([STOP, 0, 0, 0]);
    assert_eq!(rt.x0(), 0);
    assert_eq!(linux.pending_interrupt(), Outcome::Waiting);
    assert_eq!(lifecycle(world, LINUX), "stopped");
    rt.hvc([RESTART, 0, 0, 0]);
    assert_eq!(linux.wait_again(), Outcome::Resumed);
    assert_eq!(lifecycle(world, LINUX), "running");
}

#[test]
fn partition_that_runs_is_restarted_and_cannot_be_started() {
    let world = controlled(|_| {});
    let mut linux = world.started(LINUX);
    let mut rt = world.started(RT);
    rt.hvc([START, 0, 0, 0]);
    assert_eq!(rt.x0(), NOT_NOW);
    rt.hvc([RESTART, 0, 0, 0]);
    assert_eq!(rt.x0(), 0);
    assert_eq!(linux.pending_interrupt(), Outcome::Resumed);
    assert_eq!(world.partition(LINUX).power.lock().restarts(), 1);
}

#[test]
fn stop_of_the_last_partition_that_was_not_stopped_ends_the_system() {
    let world = controlled(|linux| linux.monitor.delay = 3 * MS);
    let mut linux = world.guest(LINUX, 0);
    linux.bring_up();
    let mut rt = world.started(RT);
    rt.hvc([STOP, 0, 0, 0]);
    assert_eq!(rt.x0(), 0);
    assert_eq!(lifecycle(world, LINUX), "stopped");
    let outcome = rt.hvc([SYSTEM_OFF, 0, 0, 0]);
    assert_eq!(outcome, Outcome::Ended(EndState::Halt));
}

#[test]
fn counts_of_another_partition_are_its_exits_by_kind_and_its_failures_by_class() {
    let world = controlled(|_| {});
    let (mut linux, mut rt) = (world.started(LINUX), world.started(RT));
    linux.hvc([0xc600_0fff, 0, 0, 0]);
    linux.hvc([ALIVE, 0, 0, 0]);
    let names = crate::exit::ExitKind::ALL.map(|kind| (kind.name(), None::<Class>));
    let classes = Class::ALL.map(|class| (class.name(), Some(class)));
    for (number, (name, class)) in (0..).zip(names.into_iter().chain(classes)) {
        rt.hvc([Call::Count as u64, LINUX as u64 | number << 8, 0, 0]);
        let expected = match (name, class) {
            ("hvc", None) => 2,
            (_, Some(Class::HypercallAbuse)) => 1,
            _ => 0,
        };
        assert_eq!((rt.x0(), rt.vcpu.context.x[1]), (0, expected), "{name}");
    }
    for (argument, status) in [
        (LINUX as u64 | 16 << 8, NOT_NOW),
        (u64::MAX << 8 | LINUX as u64, NOT_NOW),
        (RT as u64, DENIED),
        (0xff, DENIED),
    ] {
        rt.hvc([Call::Count as u64, argument, 0, 0]);
        assert_eq!(rt.x0(), status, "{argument:#x}");
    }
}

#[cfg(feature = "trace")]
#[test]
fn trace_of_another_partition_is_what_led_to_its_newest_failure_without_what_others_did() {
    let world = controlled(|linux| linux.monitor.answers[5] = Some(FaultPolicy::Inject));
    let (mut linux, mut rt) = (world.started(LINUX), world.started(RT));
    let trace_of = |rt: &mut Guest, partition: u64, number: u64| {
        rt.hvc([Call::Trace as u64, partition | number << 8, 0, 0]);
        rt.x0()
    };
    assert_eq!(trace_of(&mut rt, LINUX as u64, 0), NOT_PRESENT);
    linux.hvc([PANIC, 7, 0, 0]);
    // What others do on its CPUs is theirs.
    for pcpu in 0..linux.vcpu.machine().rings().len() {
        let note = |who| crate::trace::now(linux.vcpu.machine(), crate::trace::Kind::WAKE, who, 0);
        crate::fake::run_on(pcpu, || {
            note(crate::trace::Who::partition(PartitionId::new(1)))
        });
        crate::fake::run_on(pcpu, || note(crate::trace::Who::NOBODY));
    }
    linux.hvc([PANIC, 8, 0, 0]);
    let exit = "exit:sync/0.0=0x5a000000@1000".to_owned();
    let failed = "failed:guest-panic/0.0=0x7@1000".to_owned();
    let expected = vec!["started/0@1000".to_owned(), exit.clone(), failed, exit];
    let mut told = Vec::new();
    while trace_of(&mut rt, LINUX as u64, told.len() as u64) == 0 {
        let x = rt.vcpu.context.x;
        assert_eq!(x[3], 1);
        told.push(crate::trace::Event::from_words([x[1], x[2]]).to_string());
    }
    assert_eq!((rt.x0(), told), (NOT_PRESENT, expected));
    for (partition, number) in [(RT as u64, 0), (0xff, 0)] {
        assert_eq!(trace_of(&mut rt, partition, number), DENIED);
    }
    assert_eq!(trace_of(&mut rt, LINUX as u64, u64::MAX >> 8), NOT_PRESENT);
}
