//! Interrupts of pins.

use super::*;

/// A card that interrupts by INTA, of which the system says that it does so by `pin`.
fn card(pin: u8) -> (Result<&'static Function, PciError>, &'static Bus) {
    let bus = Bus::with_card(CARD);
    let config = Config {
        pin,
        ..config(CARD, LINUX, 0)
    };
    (new(bus, config), bus)
}

#[test]
fn guest_finds_its_pin_and_turns_it_on_and_off() {
    let (function, bus) = card(1);
    let function = function.unwrap();
    assert_eq!(read(function, INTERRUPT), 0x100);
    assert_eq!(bus.word(CARD, COMMAND) & 0x400, 0x400);
    write(function, COMMAND, 6);
    assert_eq!(bus.word(CARD, COMMAND) as u16, 6);
    write(function, COMMAND, 0x406);
    assert_eq!(read(function, COMMAND) as u16, 0x406);
}

#[test]
fn guest_sees_that_its_interrupt_waits_only_where_it_has_the_pin() {
    for (pin, shown) in [(0, 0), (1, 1 << 19)] {
        let (function, bus) = card(pin);
        bus.put(CARD, COMMAND, 0x0018_0400, 0xffff);
        assert_eq!(read(function.unwrap(), COMMAND) & 1 << 19, shown);
    }
}

#[test]
fn restart_turns_the_pin_off() {
    let (function, bus) = card(1);
    let function = function.unwrap();
    bus.put(CARD, 0xa4, 0, 0);
    write(function, COMMAND, 6);
    function.reset(0);
    assert_eq!(bus.word(CARD, COMMAND) as u16, 0x400);
}

#[test]
fn another_pin_than_the_system_says_is_refused() {
    let expected = PciError::OtherPin {
        found: 1,
        expected: 3,
    };
    assert_eq!(card(3).0.err(), Some(expected));
}

#[test]
fn pin_that_cannot_be_turned_off_is_refused() {
    let bus = Bus::with_card(CARD);
    bus.put(CARD, COMMAND, 0x0010_0000, 7);
    let function = new(bus, config(CARD, LINUX, 1));
    assert_eq!(function.err(), Some(PciError::LoudPin));
}
