//! Calls through a page, beside the same ones by HVC.

use model::call::page::{IDENTITY, MAGIC, STATUS, register};
use model::call::{Call, Status};
use model::device::Width;
use model::memory::PAGE;
use model::monitor::{Class, Notice};
use model::partition::{FaultPolicy, Partition as Config};
use model::{IntId, Ipa, PartitionId};

use crate::fake::{ENTRY, Guest, LINUX, Outcome, RT, SYSTEM_RESET, World};

/// Where `RT` has its page.
const BASE: u64 = 0x5000_0000;

/// `RT` has a page, and may control `LINUX`, whose panics it is told of.
fn world(change: impl FnOnce(&mut Config)) -> World {
    World::with_one_vcpu_each(|linux, rt| {
        linux.monitor.answers[Class::GuestPanic as usize] = Some(FaultPolicy::Inject);
        linux.monitor.notify = Vec::leak(vec![Notice {
            partition: PartitionId::new(RT as u8),
            intid: IntId::new(63),
        }]);
        rt.monitor.may_control = Vec::leak(vec![PartitionId::new(LINUX as u8)]);
        rt.monitor.page = Some(Ipa::new(BASE));
        change(rt);
    })
}

fn call(guest: &mut Guest, call: Call, argument: u64) -> Outcome {
    let register = register(call as u32).unwrap();
    guest.store(BASE + register, Width::Double, argument)
}

/// The status and the values of the last call.
fn answer(guest: &mut Guest) -> [u64; 6] {
    core::array::from_fn(|index| guest.load(BASE + STATUS + 8 * index as u64, Width::Double))
}

fn status(guest: &mut Guest) -> Option<Status> {
    Status::of(answer(guest)[0].cast_signed())
}

#[test]
fn call_through_the_page_gives_what_the_same_call_gives_by_hvc() {
    const NOBODY: u64 = 256;
    for one in Call::ALL {
        for argument in [LINUX as u64, RT as u64, NOBODY] {
            let [by_hvc, by_page] = [false, true].map(|by_page| {
                let world = world(|rt| {
                    rt.monitor.answers[Class::GuestPanic as usize] = Some(FaultPolicy::Inject);
                });
                let (mut linux, mut rt) = (world.started(LINUX), world.started(RT));
                linux.hvc([Call::Panic as u64, 9, 0, 0]);
                if by_page {
                    assert_eq!(call(&mut rt, one, argument), Outcome::Resumed);
                    return answer(&mut rt);
                }
                rt.vcpu.context.x[4..6].fill(0);
                rt.hvc([one as u64, argument, 0, 0]);
                let mut x: [u64; 6] = rt.vcpu.context.x[..6].try_into().unwrap();
                // A call that gives no values leaves the argument where it is.
                if !matches!(
                    (one, x[0]),
                    (Call::State | Call::Failure | Call::Count | Call::Trace, 0)
                ) {
                    assert_eq!(x[1], argument);
                    x[1] = 0;
                }
                x
            });
            assert_eq!(by_page, by_hvc, "{one:?} {argument}");
        }
    }
}

#[test]
fn page_has_its_identity_and_no_answer_at_first() {
    let mut rt = world(|_| {}).started(RT);
    assert_eq!(rt.load(BASE + IDENTITY, Width::Double), MAGIC);
    assert_eq!(answer(&mut rt), [0; 6]);
}

#[test]
fn order_is_followed_and_one_without_the_right_is_a_failure_of_the_caller() {
    let world = world(|_| {});
    let (_linux, mut rt) = (world.started(LINUX), world.started(RT));
    call(&mut rt, Call::Suspend, LINUX as u64);
    assert_eq!(status(&mut rt), Some(Status::Success));
    call(&mut rt, Call::Suspend, LINUX as u64);
    assert_eq!(status(&mut rt), Some(Status::InvalidParameters));
    let partition = rt.vcpu.partition;
    assert_eq!(partition.health.count(Class::HypercallAbuse), 0);
    call(&mut rt, Call::Stop, RT as u64);
    assert_eq!(status(&mut rt), Some(Status::Denied));
    assert_eq!(partition.health.count(Class::HypercallAbuse), 1);
}

#[test]
fn register_of_no_call_is_a_refused_one_and_what_is_no_register_is_nothing() {
    let mut rt = world(|_| {}).started(RT);
    let partition = rt.vcpu.partition;
    rt.store(BASE + 8, Width::Double, 0);
    assert_eq!(status(&mut rt), Some(Status::NotSupported));
    assert_eq!(partition.health.count(Class::HypercallAbuse), 1);
    let stop = register(Call::Stop as u32).unwrap();
    for (offset, width) in [
        (stop, Width::Word),
        (stop, Width::Byte),
        (stop + 4, Width::Word),
        (IDENTITY, Width::Double),
        (STATUS, Width::Double),
        (PAGE - 8, Width::Double),
    ] {
        let outcome = rt.store(BASE + offset, width, RT as u64);
        assert_eq!(outcome, Outcome::Resumed, "{offset:#x}");
    }
    assert_eq!(status(&mut rt), Some(Status::NotSupported));
    for (offset, width) in [
        (stop, Width::Double),
        (IDENTITY, Width::Word),
        (STATUS, Width::Half),
        (PAGE - 8, Width::Double),
    ] {
        assert_eq!(rt.load(BASE + offset, width), 0, "{offset:#x}");
    }
    assert_eq!(partition.health.count(Class::HypercallAbuse), 1);
    assert_eq!(partition.faults(), 0);
}

#[test]
fn misaligned_access_and_those_beside_the_page_are_faults() {
    let mut rt = world(|_| {}).started(RT);
    for (address, faults) in [(BASE + 0x84, 1), (BASE + PAGE, 2), (BASE - 8, 3)] {
        rt.store(address, Width::Double, 0);
        assert_eq!(rt.vcpu.partition.faults(), faults, "{address:#x}");
    }
}

#[test]
fn partition_without_a_page_has_none_where_another_one_has_it() {
    let mut linux = world(|_| {}).started(LINUX);
    call(&mut linux, Call::State, LINUX as u64);
    assert_eq!(linux.vcpu.partition.faults(), 1);
}

/// A step behind the instruction after that would skip the first one of the new life.
#[test]
fn call_that_starts_its_caller_anew_leaves_it_at_its_entry() {
    let world = world(|rt| {
        rt.monitor.answers[Class::GuestPanic as usize] = Some(FaultPolicy::Restart);
    });
    let mut rt = world.started(RT);
    assert_eq!(call(&mut rt, Call::Panic, 1), Outcome::Resumed);
    assert_eq!(rt.pc(), ENTRY);
    assert_eq!(rt.vcpu.partition.power.lock().restarts(), 1);
}

#[test]
fn answer_is_forgotten_at_a_start() {
    let mut rt = world(|_| {}).started(RT);
    call(&mut rt, Call::Stop, RT as u64);
    assert_eq!(status(&mut rt), Some(Status::Denied));
    rt.hvc([SYSTEM_RESET, 0, 0, 0]);
    assert_eq!(answer(&mut rt), [0; 6]);
}
