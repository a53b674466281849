//! BARs above 4 GiB.

use super::*;

const HIGH: u64 = 0x80_4000_0000;

/// A card with BAR 0 of 32 bits, BAR 2 of 64 bits that may be prefetched, BAR 4 of 64 bits that may not, and a window above 4 GiB.
fn card_at(place: BusPlace, size: u64) -> (Result<&'static Function, PciError>, &'static Bus) {
    let bus = Bus::with_card(place);
    bus.put(place, BARS + 4, 0, 0);
    bus.put(place, BARS + 8, 0xc, 0xfff0_0000);
    bus.put(place, BARS + 12, 0, !0);
    bus.put(place, BARS + 16, 0x4, 0xffff_c000);
    bus.put(place, BARS + 20, 0, !0);
    let base = HIGH;
    let config = Config {
        high: Some(Window { base, size }),
        ..config(place, LINUX, 1)
    };
    (new(bus, config), bus)
}

fn bars(bus: &Bus, place: BusPlace) -> [u32; 6] {
    [0, 4, 8, 12, 16, 20].map(|offset| bus.word(place, BARS + offset) & !0xf)
}

#[test]
fn bars_of_64_bits_go_up_and_the_others_stay_below() {
    let (function, bus) = card_at(CARD, 0x20_0000);
    let function = function.unwrap();
    assert_eq!(
        bars(bus, CARD),
        [0x1180_0000, 0, 0x4000_0000, 0x80, 0x4010_0000, 0x80]
    );
    assert_eq!(function.layout().used(), [0x1_0000, 0x10_4000]);
}

#[test]
fn guest_learns_place_and_size_of_both_halves() {
    let (function, _) = card_at(CARD, 0x20_0000);
    let function = function.unwrap();
    let halves = || [BARS + 8, BARS + 12].map(|offset| read(function, offset));
    assert_eq!(halves(), [0x4000_000c, 0x80]);
    write(function, BARS + 8, !0);
    write(function, BARS + 12, !0);
    assert_eq!(halves(), [0xfff0_000c, 0xffff_ffff]);
    write(function, BARS + 8, 0);
    write(function, BARS + 12, 0);
    assert_eq!(halves(), [0x4000_000c, 0x80]);
}

#[test]
fn behind_a_bridge_only_what_may_be_prefetched_goes_up() {
    let place = 0x100;
    let (function, bus) = card_at(place, 0x10_0000);
    assert_eq!(function.unwrap().layout().used(), [0x1_4000, 0x10_0000]);
    assert_eq!(
        bars(bus, place),
        [0x1000_0000, 0, 0x4000_0000, 0x80, 0x1001_0000, 0]
    );
}

#[test]
fn window_above_4_gib_that_is_too_small_is_refused() {
    let (function, _) = card_at(CARD, 0x10_0000);
    let expected = PciError::TooLarge {
        needed: 0x10_4000,
        window: 0x10_0000,
        high: true,
    };
    assert_eq!(function.err(), Some(expected));
}
