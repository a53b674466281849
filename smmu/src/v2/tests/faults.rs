//! What is told of refused accesses.

use super::*;

fn stream_of(fault: &Fault) -> u32 {
    match fault.source {
        Source::Stream(stream) => stream.get(),
        other => panic!("{other:?} is no stream"),
    }
}

#[test]
fn fault_names_stream_address_access_and_cause() {
    let machine = Machine::new(Behaviour::USUAL);
    let mut driver = machine.attached();
    let input = Some(Class::Input);
    for (expected, write) in [
        (
            fault(0x870, Cause::Translation, 0x1234_5678, Access::Write, input),
            true,
        ),
        (
            fault(0x876, Cause::Translation, 1 << 41, Access::Read, input),
            false,
        ),
        (
            fault(0x880, Cause::Permission, READ_ONLY, Access::Write, input),
            true,
        ),
        (
            fault(0x881, Cause::AccessFlag, UNFLAGGED, Access::Read, input),
            false,
        ),
        (
            fault(
                0x870,
                Cause::Translation,
                WIDE + 0x1000,
                Access::Read,
                input,
            ),
            false,
        ),
        (
            fault(
                0x870,
                Cause::ExternalAbort,
                NO_TABLE,
                Access::Read,
                Some(Class::Table),
            ),
            false,
        ),
        (
            fault(0x871, Cause::UnknownStream, SEEN, Access::Write, None),
            true,
        ),
    ] {
        let address = expected.address.unwrap().get();
        let stream = stream_of(&expected);
        let outcome = match write {
            true => machine.write(stream, address),
            false => machine.read(stream, address),
        };
        assert_eq!(outcome, Outcome::Aborted);
        assert!(machine.interrupts());
        assert_eq!(driver.next_fault(), Some(expected));
        assert_eq!(driver.next_fault(), None);
        assert!(!machine.interrupts());
    }
    assert_eq!(driver.next_failure(), None);
}

#[test]
fn page_beyond_the_smmus_physical_addresses_is_too_wide() {
    let machine = Machine::new(Behaviour {
        // 44 bits out.
        idr2: 0x5545,
        ..Behaviour::USUAL
    });
    let mut driver = machine.attached();
    assert_eq!(machine.read(0x870, WIDE), Outcome::Aborted);
    let cause = driver.next_fault().map(|fault| fault.cause);
    assert_eq!(cause, Some(Cause::AddressSize));
}

#[test]
fn detached_stream_is_told_as_denied() {
    let machine = Machine::new(Behaviour::USUAL);
    let mut driver = machine.attached();
    driver.detach(FIRST).unwrap();
    machine.write(0x870, SEEN);
    let expected = fault(0x870, Cause::Denied, SEEN, Access::Write, None);
    assert_eq!(driver.next_fault(), Some(expected));
}

#[test]
fn fault_that_was_not_served_does_not_stop_the_devices_good_accesses() {
    let machine = Machine::new(Behaviour::USUAL);
    let _driver = machine.attached();
    machine.write(0x870, 0);
    assert_eq!(machine.write(0x870, SEEN), Outcome::Reached(HELD[0]));
}

#[test]
fn faults_behind_the_first_are_told_as_lost_once() {
    let machine = Machine::new(Behaviour::USUAL);
    let mut driver = machine.attached();
    for address in [0, 0x1000, 0x2000] {
        machine.write(0x870, address);
    }
    let first = fault(
        0x870,
        Cause::Translation,
        0,
        Access::Write,
        Some(Class::Input),
    );
    assert_eq!(driver.next_fault(), Some(first));
    assert_eq!(driver.next_fault(), None);
    assert_eq!(driver.next_failure(), Some(Failure::FaultsLost));
    assert_eq!(driver.next_failure(), None);
}

#[test]
fn storm_of_one_partition_does_not_hide_the_faults_of_another() {
    let machine = Machine::new(Behaviour {
        storm: Some(0x870),
        ..Behaviour::USUAL
    });
    let mut driver = machine.attached();
    machine.write(0x870, 0);
    machine.write(0x874, 0);
    machine.write(0x871, 0);
    let streams: Vec<u32> = (0..3)
        .filter_map(|_| driver.next_fault())
        .map(|fault| stream_of(&fault))
        .collect();
    assert_eq!(streams, [0x870, 0x874, 0x871]);
}

#[test]
fn muted_partition_is_silent_works_and_is_heard_after_its_next_start() {
    let machine = Machine::new(Behaviour::USUAL);
    let mut driver = machine.attached();
    driver.mute(FIRST).unwrap();
    machine.write(0x870, 0);
    assert_eq!((machine.interrupts(), driver.next_fault()), (false, None));
    assert_eq!(machine.write(0x870, SEEN), Outcome::Reached(HELD[0]));
    machine.write(0x874, 0);
    assert!(driver.next_fault().is_some());
    driver.detach(FIRST).unwrap();
    driver.attach(FIRST, &machine.domain(0)).unwrap();
    // What came while it was muted is forgotten.
    assert_eq!((machine.interrupts(), driver.next_fault()), (false, None));
    machine.write(0x870, 0);
    assert!(machine.interrupts());
    assert!(driver.next_fault().is_some());
}

#[test]
fn stream_of_nobody_is_muted_until_the_next_start_of_a_partition() {
    let machine = Machine::new(Behaviour::USUAL);
    let mut driver = machine.attached();
    driver.mute(Streams::one(StreamId::new(0x871))).unwrap();
    machine.write(0x871, 0);
    assert_eq!((machine.interrupts(), driver.next_fault()), (false, None));
    assert_eq!(machine.write(0x870, SEEN), Outcome::Reached(HELD[0]));
    driver.detach(FIRST).unwrap();
    machine.write(0x871, 0);
    assert!(machine.interrupts());
}

#[test]
fn faults_without_end_are_turned_off_and_those_of_others_are_not() {
    for stream in [0x870, 0x871] {
        let machine = Machine::new(Behaviour {
            storm: Some(stream),
            ..Behaviour::USUAL
        });
        let mut driver = machine.attached();
        machine.write(stream, 0);
        assert_eq!(driver.discard_faults(), Some(Failure::FaultsIgnored));
        assert_eq!((machine.interrupts(), driver.next_fault()), (false, None));
        machine.write(0x874, 0);
        assert!(machine.interrupts());
    }
}

#[test]
fn faults_that_end_are_forgotten() {
    let machine = Machine::new(Behaviour::USUAL);
    let mut driver = machine.attached();
    machine.write(0x870, 0);
    assert_eq!(driver.discard_faults(), Some(Failure::FaultsLost));
    assert_eq!(driver.discard_faults(), None);
    machine.write(0x870, 0);
    assert!(driver.next_fault().is_some());
}
