//! What guests do to their APIC, and what must hold whatever they do.

use proptest::prelude::*;

use super::*;

const TIMER: u64 = 0x40;
const DIVIDE_BY_1: u64 = 0b1011;
const PERIODIC: u64 = 1 << 17;

/// Switched on.
fn on() -> LocalApic {
    let mut apic = LocalApic::new(0x12);
    assert_eq!(apic.write(register::SPURIOUS, 0x1ff, 0), Ok(Effect::None));
    apic
}

/// With a timer of 100 ticks.
fn with_timer(entry: u64) -> LocalApic {
    let mut apic = on();
    for (index, value) in [
        (register::DIVIDE, DIVIDE_BY_1),
        (msr::TIMER, entry),
        (register::INITIAL_COUNT, 100),
    ] {
        assert_eq!(apic.write(index, value, 1_000), Ok(Effect::Timer));
    }
    apic
}

/// Takes what is to be taken.
fn take(apic: &mut LocalApic) -> Option<u8> {
    let vector = apic.deliverable()?;
    apic.take(vector);
    Some(vector)
}

fn end(apic: &mut LocalApic) {
    assert_eq!(
        apic.write(register::END_OF_INTERRUPT, 0, 0),
        Ok(Effect::None)
    );
}

#[test]
fn registers_after_reset_are_those_of_the_manual() {
    let mut apic = LocalApic::new(0x12);
    for (index, value) in [
        (register::ID, 0x12),
        (register::VERSION, 0x0005_0014),
        (register::TASK_PRIORITY, 0),
        (register::PROCESSOR_PRIORITY, 0),
        (register::LOGICAL_DESTINATION, 1 << 16 | 1 << 2),
        (register::SPURIOUS, 0xff),
        (register::IN_SERVICE, 0),
        (register::TRIGGER_MODE_LAST, 0),
        (register::REQUEST_LAST, 0),
        (msr::TIMER, 1 << 16),
        (register::ERROR, 1 << 16),
        (register::CURRENT_COUNT, 0),
    ] {
        assert_eq!(apic.read(index, 0), Ok(value), "{index:#x}");
    }
}

#[test]
fn what_is_read_only_write_only_or_nothing_is_a_fault() {
    let mut apic = on();
    for index in [
        0x800,
        register::END_OF_INTERRUPT,
        0x80e,
        0x82f,
        register::SELF_IPI,
        0x83a,
        LAST,
    ] {
        assert_eq!(apic.read(index, 0), Err(Refused), "{index:#x}");
    }
    for index in [
        register::ID,
        register::VERSION,
        register::PROCESSOR_PRIORITY,
        register::LOGICAL_DESTINATION,
        register::IN_SERVICE,
        register::REQUEST_LAST,
        0x82f,
        register::CURRENT_COUNT,
        LAST,
    ] {
        assert_eq!(apic.write(index, 0, 0), Err(Refused), "{index:#x}");
    }
}

#[test]
fn bits_that_a_register_has_not_are_a_fault() {
    let mut apic = on();
    for (index, value) in [
        (register::TASK_PRIORITY, 0x100),
        (register::END_OF_INTERRUPT, 1),
        (register::SPURIOUS, 1 << 12),
        (register::ERROR_STATUS, 1),
        // TSC-deadline mode, a delivery mode, a pin's trigger mode, a delivery mode of errors.
        (msr::TIMER, 1 << 18 | TIMER),
        (msr::TIMER, 0x540),
        (0x834, 1 << 15),
        (register::ERROR, 0x400),
        (register::DIVIDE, 0b0100),
        (register::SELF_IPI, 0x100),
        (register::INITIAL_COUNT, 1 << 32),
    ] {
        assert_eq!(apic.write(index, value, 0), Err(Refused), "{index:#x}");
    }
}

#[test]
fn lower_interrupt_waits_for_the_end_of_a_higher_one_and_a_higher_one_does_not() {
    let mut apic = on();
    apic.request(0x51);
    assert_eq!(take(&mut apic), Some(0x51));
    apic.request(0x50);
    apic.request(0x5f);
    assert_eq!(take(&mut apic), None, "the same class");
    apic.request(0x61);
    assert_eq!(take(&mut apic), Some(0x61));
    end(&mut apic);
    assert_eq!(take(&mut apic), None);
    end(&mut apic);
    assert_eq!(take(&mut apic), Some(0x5f));
    end(&mut apic);
    assert_eq!(take(&mut apic), Some(0x50));
}

#[test]
fn task_priority_holds_back_its_class_and_what_is_below() {
    let mut apic = on();
    apic.request(0x4f);
    apic.set_task_class(4);
    assert_eq!((apic.deliverable(), apic.waiting()), (None, Some(0x4f)));
    assert_eq!(apic.read(register::PROCESSOR_PRIORITY, 0), Ok(0x40));
    apic.set_task_class(3);
    assert_eq!(apic.deliverable(), Some(0x4f));
    // CR8 keeps the lower half, unless it changes the upper one.
    assert_eq!(
        apic.write(register::TASK_PRIORITY, 0x35, 0),
        Ok(Effect::None)
    );
    apic.set_task_class(3);
    assert_eq!(apic.read(register::TASK_PRIORITY, 0), Ok(0x35));
}

#[test]
fn one_shot_interrupts_once_and_a_period_again_and_again() {
    for (entry, again) in [(TIMER, None), (TIMER | PERIODIC, Some(TIMER as u8))] {
        let mut apic = with_timer(entry);
        assert_eq!(apic.next_change(), 1_100);
        apic.pass(1_099);
        assert_eq!(take(&mut apic), None);
        apic.pass(1_100);
        assert_eq!(take(&mut apic), Some(0x40));
        end(&mut apic);
        apic.pass(1_200);
        assert_eq!(take(&mut apic), again);
    }
}

#[test]
fn requested_timer_changes_nothing_until_it_is_taken() {
    let mut apic = with_timer(TIMER | PERIODIC);
    apic.pass(1_100);
    assert_eq!(apic.next_change(), u64::MAX);
    assert_eq!(take(&mut apic), Some(0x40));
    assert_eq!(apic.next_change(), 1_200);
}

#[test]
fn masked_timer_counts_and_does_not_interrupt() {
    let mut apic = with_timer(1 << 16 | TIMER);
    assert_eq!(apic.next_change(), u64::MAX);
    assert_eq!(apic.read(register::CURRENT_COUNT, 1_030), Ok(70));
    apic.pass(1_200);
    assert_eq!(take(&mut apic), None);
}

#[test]
fn apic_that_is_switched_off_masks_its_entries_and_takes_nothing() {
    let mut apic = with_timer(TIMER);
    assert_eq!(apic.write(register::SPURIOUS, 0xff, 0), Ok(Effect::None));
    assert_eq!(apic.read(msr::TIMER, 0), Ok(1 << 16 | TIMER));
    assert_eq!(apic.write(msr::TIMER, TIMER, 0), Ok(Effect::Timer));
    assert_eq!(apic.read(msr::TIMER, 0), Ok(1 << 16 | TIMER));
    apic.request(0x80);
    apic.pass(2_000);
    assert_eq!(take(&mut apic), None);
}

#[test]
fn command_is_handed_on_whole_and_reads_as_written() {
    let mut apic = on();
    let command = 3 << 32 | 0x4041;
    assert_eq!(
        apic.write(msr::ICR, command, 0),
        Ok(Effect::Command(command))
    );
    assert_eq!(apic.read(msr::ICR, 0), Ok(command));
}

#[test]
fn illegal_vectors_are_errors_that_show_after_a_write_and_interrupt_if_asked() {
    let mut apic = on();
    assert_eq!(apic.write(register::ERROR, 0xfe, 0), Ok(Effect::None));
    assert_eq!(apic.write(register::SELF_IPI, 0x0f, 0), Ok(Effect::None));
    apic.request(3);
    assert_eq!(apic.read(register::ERROR_STATUS, 0), Ok(0));
    assert_eq!(apic.write(register::ERROR_STATUS, 0, 0), Ok(Effect::None));
    let both = u64::from(ILLEGAL_SENT | ILLEGAL_RECEIVED);
    assert_eq!(apic.read(register::ERROR_STATUS, 0), Ok(both));
    assert_eq!(take(&mut apic), Some(0xfe));
    assert_eq!(apic.write(register::SELF_IPI, 0x90, 0), Ok(Effect::None));
    end(&mut apic);
    assert_eq!(take(&mut apic), Some(0x90));
}

/// What a guest, its clock and others do.
#[derive(Clone, Debug)]
enum Step {
    Write(u32, u64),
    Request(u8),
    Cr8(u8),
    Pass(u64),
    Take,
}

fn step() -> impl Strategy<Value = Step> {
    let value = prop_oneof![any::<u64>(), 0u64..=0x3ff, Just(0), 0x1_0000u64..0x4_0000];
    prop_oneof![
        4 => (FIRST..=0x840, value).prop_map(|(index, value)| Step::Write(index, value)),
        2 => Just(Step::Write(register::END_OF_INTERRUPT, 0)),
        1 => Just(Step::Write(register::SPURIOUS, 0x1ff)),
        4 => any::<u8>().prop_map(Step::Request),
        1 => (0u8..16).prop_map(Step::Cr8),
        2 => (0u64..1_000).prop_map(Step::Pass),
        1 => any::<u64>().prop_map(Step::Pass),
        4 => Just(Step::Take),
    ]
}

proptest! {
    /// Whatever a guest writes, what is taken has a higher class than all that is in service and than the task priority; no request below 16 exists;
    /// each end takes the highest away; and what time will change is always later than now.
    #[test]
    fn priorities_hold_whatever_is_written(steps in prop::collection::vec(step(), 0..200)) {
        let mut apic = on();
        let mut serviced: Vec<u8> = Vec::new();
        let mut now = 0u64;
        for step in steps {
            match step {
                Step::Write(index, value) => {
                    let written = apic.write(index, value, now);
                    if index == register::END_OF_INTERRUPT && written.is_ok() {
                        serviced.pop();
                    }
                }
                Step::Request(vector) => apic.request(vector),
                Step::Cr8(class) => apic.set_task_class(class),
                Step::Pass(time) => now = now.saturating_add(time),
                Step::Take => {
                    let task = apic.task_class();
                    if let Some(vector) = take(&mut apic) {
                        prop_assert!(vector >= 16 && vector >> 4 > task);
                        prop_assert!(serviced.last().is_none_or(|last| vector >> 4 > last >> 4));
                        serviced.push(vector);
                    }
                }
            }
            apic.pass(now);
            prop_assert_eq!(apic.in_service.highest(), serviced.last().copied());
            prop_assert!(apic.processor_priority() >= apic.task_class() << 4);
            prop_assert!(apic.requested.word(0) & 0xffff == 0);
            prop_assert!(apic.next_change() > now || now == u64::MAX);
            prop_assert_eq!(apic.deliverable().is_some(),
                apic.waiting().is_some_and(|vector| vector >> 4 > apic.task_class()));
        }
    }

    /// Every read is answered, and changes nothing that a second one would see.
    #[test]
    fn reads_are_pure(steps in prop::collection::vec(step(), 0..50), index in FIRST..=LAST) {
        let mut apic = on();
        for step in steps {
            if let Step::Write(index, value) = step {
                let _ = apic.write(index, value, 5);
            }
        }
        prop_assert_eq!(apic.read(index, 7), apic.read(index, 7));
    }
}
