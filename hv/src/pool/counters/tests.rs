//! Counters on a shared pCPU: in a report that another pCPU makes, and as the guest that runs asks for them.

use super::*;
use crate::arch::aarch64::psci::status;
use crate::fake::{Guest, LINUX, RT, World, advance, run_on, take_done, take_wire, type_in};
use crate::pool::fixture::{decide, first_turn};

const COUNTER: u64 = 0xc600_0001;

/// What the guest is told of a counter: status and x1.
fn ask(guest: &mut Guest, number: u64) -> (i64, u64) {
    guest.hvc([COUNTER, number, 7, 8]);
    (guest.x0(), guest.vcpu.context.x[1])
}

#[test]
fn guest_reads_its_own_counters() {
    let (_, mut guest) = first_turn();
    advance(25_000);
    decide(&mut guest);
    assert_eq!(ask(&mut guest, Counter::Periods as u64), (0, 2));
    assert_eq!(ask(&mut guest, Counter::Supply as u64), (0, 10_000));
    assert_eq!(ask(&mut guest, Counter::Entries as u64), (0, 2));
}

#[test]
fn counter_that_the_policy_does_not_have_yet_or_never_is_not_supported() {
    let (_, mut guest) = first_turn();
    for counter in [Counter::LeastSupply, Counter::Windows] {
        let number = counter as u64;
        assert_eq!(ask(&mut guest, number), (status::NOT_SUPPORTED, number));
    }
}

#[test]
fn number_of_no_counter_is_refused_whatever_its_upper_half() {
    let (_, mut guest) = first_turn();
    for number in [
        Counter::ALL.len() as u64,
        0xff,
        1 << 32,
        1 << 32 | 1,
        u64::MAX,
    ] {
        let refused = (status::INVALID_PARAMETERS, number);
        assert_eq!(ask(&mut guest, number), refused);
    }
}

#[test]
fn guest_on_a_pcpu_of_its_own_has_a_scheduler_that_was_never_entered_and_no_other_counter() {
    let mut guest = World::new().started(RT);
    assert_eq!(ask(&mut guest, 0), (0, 0));
    for number in 1..12 {
        assert_eq!(ask(&mut guest, number), (status::NOT_SUPPORTED, number));
    }
}

#[test]
fn service_says_who_it_is_and_changes_no_register_but_its_results() {
    let (_, mut guest) = first_turn();
    take_done();
    guest.hvc([0x8600_ff03, 5, 6, 7]);
    assert_eq!(guest.vcpu.context.x[..4], [1, 5, 6, 7]);
    guest.hvc([0x8600_ff01, 5, 6, 7]);
    let uid: Vec<u8> = guest.vcpu.context.x[..4]
        .iter()
        .flat_map(|word| (*word as u32).to_le_bytes())
        .collect();
    let digits: String = uid.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(digits, "e12f6e33352441769bd7536f8fdc58cd");
    assert_eq!(take_done(), []);
}

/// The console is served by the pCPU of `RT`.
#[test]
fn report_waits_until_the_shared_pcpu_has_laid_its_counters_open() {
    // Arrange.
    let (world, mut guest) = first_turn();
    advance(25_000);
    decide(&mut guest);
    take_wire();
    // Act: somebody asks on another pCPU, which goes on for a while.
    let go_on = || {
        for _ in 0..50 {
            run_on(2, || world.hypervisor.serve_console());
        }
        take_wire()
    };
    type_in(b"\x1ds");
    let before = go_on();
    guest.pending_interrupt();
    let after = go_on();
    // Assert.
    assert!(!before.contains("report"), "{before}");
    let line = after.lines().find(|line| line.contains("linux vcpu=0"));
    let line = line.expect("a line on the first virtual CPU");
    assert!(line.contains("pcpu=0 entries=2 periods=2"), "{line}");
    assert!(
        line.ends_with(
            "supply=10000 least=10000 depletions=2 preemptions=0 blackout=0 overrun=0 late=1"
        ),
        "{line}"
    );
    assert!(after.contains("turns partition=rt vcpu=0 pcpu=2 entries=0\r\n"));
}

#[test]
fn longest_line_on_turns_fits() {
    let world = World::with(|linux| linux.name = "fifteen-letters");
    let partition = world.partition(LINUX);
    let turns = &partition.vcpus[1].turns;
    turns.answer(0, |counter| {
        (counter < Counter::Windows).then_some(u64::MAX - 1)
    });
    let mut line = Line::default();
    assert!(report(partition, 1, &mut line));
    // The count of entries has up to 20 digits, virtual and physical CPUs have two.
    assert!(line.bytes().len() + 21 <= Line::LONGEST);
    assert!(line.bytes().ends_with(b"\n"));
}
