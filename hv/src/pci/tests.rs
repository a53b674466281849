//! Functions in a bus that behaves as the standard says, seen by their guests.

mod high;
mod pins;
mod ports;

use std::collections::BTreeMap;
use std::sync::Mutex;

use model::Pa;
use model::memory::PhysicalRange;
use model::pci::Window;
use proptest::prelude::*;

use super::*;
use crate::fake::{LINUX, RT, World};
use crate::pci::registers::{
    BARS, CAPABILITIES, CLASS, HEADER, INTERRUPT, MULTI_FUNCTION, ROM, SUBSYSTEM,
};

const CONFIGURATION: u64 = 0x40_1000_0000;
const WINDOW: u64 = 0x1000_0000;
const PAUSE: u64 = 1000;

/// A register: its value, the bits that can be written, and those that a written one clears.
#[derive(Clone, Copy, Default)]
struct Word {
    value: u32,
    writable: u32,
    cleared: u32,
}

/// The functions of a bus, written from the standard and not from the code under test.
#[derive(Default)]
struct Bus(Mutex<BTreeMap<BusPlace, BTreeMap<u16, Word>>>);

impl ConfigurationSpace for Bus {
    fn read(&self, function: BusPlace, offset: u16) -> u32 {
        assert!(offset.is_multiple_of(4) && offset < 4096);
        let functions = self.0.lock().unwrap();
        let Some(words) = functions.get(&function) else {
            return !0;
        };
        words.get(&offset).map_or(0, |word| word.value)
    }

    fn write(&self, function: BusPlace, offset: u16, value: u32) {
        assert!(offset.is_multiple_of(4) && offset < 4096);
        let mut functions = self.0.lock().unwrap();
        let Some(words) = functions.get_mut(&function) else {
            return;
        };
        if let Some(word) = words.get_mut(&offset) {
            word.write(value);
        }
    }
}

impl Word {
    fn write(&mut self, value: u32) {
        let cleared = self.value & !(value & self.cleared);
        self.value = cleared & !self.writable | value & self.writable;
    }
}

impl Bus {
    fn put(&self, function: BusPlace, offset: u16, value: u32, writable: u32) {
        let word = Word {
            value,
            writable,
            cleared: 0,
        };
        self.0
            .lock()
            .unwrap()
            .entry(function)
            .or_default()
            .insert(offset, word);
    }

    fn word(&self, function: BusPlace, offset: u16) -> u32 {
        self.read(function, offset)
    }

    fn remove(&self, function: BusPlace) -> BTreeMap<u16, Word> {
        self.0.lock().unwrap().remove(&function).unwrap_or_default()
    }

    /// A network card: BAR 0 of 64 KiB, BAR 1 of I/O, BAR 2 and 3 of 16 KiB with 64 bits, an expansion ROM; power management at 0x40, something
    /// unknown at 0x50, MSI with 64 bits and masks at 0x60, MSI-X at 0x80, PCI Express with a reset at 0xa0, a vendor's 16 bytes at 0xe0.
    fn with_card(function: BusPlace) -> &'static Self {
        let bus = Self::default();
        let put = |offset, value, writable| bus.put(function, offset, value, writable);
        put(ID, 0x10d3_8086, 0);
        put(COMMAND, 0x0010_0007, 0xffff);
        put(CLASS, 0x0200_0000, 0);
        put(HEADER, 0x0080_0000, 0xffff);
        put(BARS, 0xdead_0000, 0xffff_0000);
        put(BARS + 4, 0x0000_e001, 0xffff_ffe0);
        put(BARS + 8, 0x0000_000c, 0xffff_c000);
        put(BARS + 12, 0, 0xffff_ffff);
        put(SUBSYSTEM, 0x1234_5678, 0);
        put(ROM, 0xfff0_0001, 0xffff_0001);
        put(CAPABILITIES, 0x40, 0);
        put(INTERRUPT, 0x0000_0100, 0xff);
        put(0x40, 0xc9c3_5001, 0);
        put(0x44, 0x0000_2008, 0x103);
        put(0x50, 0xabcd_6003, 0xffff_0000);
        put(0x60, 0x018a_8005, 0x0071_0000);
        for offset in [0x64, 0x68, 0x70] {
            put(offset, 0, !0);
        }
        put(0x6c, 0, 0xffff);
        put(0x80, 0x003f_a011, 0xc000_0000);
        put(0x84, 0x0000_0003, 0);
        put(0x88, 0x0000_2003, 0);
        put(0xa0, 0x0092_e010, 0);
        put(0xa4, 0x1000_8cc0, 0);
        put(0xa8, 0x0000_2810, 0xffff);
        put(0xe0, 0x0010_0009, 0);
        put(0xe4, 0x5555_5555, !0);
        put(0x100, 0x1401_0001, !0);
        let mut functions = bus.0.lock().unwrap();
        let words = functions.get_mut(&function).unwrap();
        words.get_mut(&COMMAND).unwrap().cleared = 0xf900_0000;
        words.get_mut(&0xa8).unwrap().cleared = 0x000f_0000;
        drop(functions);
        Box::leak(Box::new(bus))
    }
}

fn config(place: BusPlace, partition: usize, messages: u16) -> Config {
    let window = u64::from(place & 0xff) << 20;
    Config {
        place,
        address: place as u8,
        path: "/pcie/00:03.0",
        partition: PartitionId::new(partition as u8),
        id: None,
        window: Window {
            base: WINDOW + window,
            size: 0x10_0000,
        },
        high: None,
        messages,
        pin: 0,
    }
}

fn bridge(functions: Vec<Config>) -> &'static Bridge {
    Box::leak(Box::new(Bridge {
        path: "/pcie",
        configuration: PhysicalRange {
            base: Pa::new(CONFIGURATION),
            size: 1 << 20,
        },
        first_bus: 0,
        ports: &[],
        functions: functions.leak(),
    }))
}

/// Address of the card.
const CARD: BusPlace = 0x18;

fn new(bus: &'static Bus, config: Config) -> Result<&'static Function, PciError> {
    let bridge = bridge(vec![config]);
    let function = Function::new(bridge, &bridge.functions[0], bus, PAUSE)?;
    Ok(Box::leak(Box::new(function)))
}

/// The card with so many messages, and the bus that it is on.
fn card(messages: u16) -> (&'static Function, &'static Bus) {
    let bus = Bus::with_card(CARD);
    (new(bus, config(CARD, LINUX, messages)).unwrap(), bus)
}

/// A guest's accesses of 32 bits.
fn read(function: &Function, offset: u16) -> u32 {
    function.read(offset, Width::Word, 0) as u32
}

fn write(function: &Function, offset: u16, value: u32) {
    function.write(offset, Width::Word, value.into(), 0);
}

const PLACES: [u32; 6] = [0x1180_0000, 0, 0x1181_000c, 0, 0, 0];

#[test]
fn bars_are_placed_in_the_window_the_largest_first_and_the_function_is_off() {
    let (function, bus) = card(32);
    for (offset, place) in (BARS..).step_by(4).zip(PLACES) {
        assert_eq!(read(function, offset), place, "{offset:#x}");
        if offset != BARS + 4 {
            assert_eq!(bus.word(CARD, offset) & !0xf, place & !0xf, "{offset:#x}");
        }
    }
    assert_eq!(bus.word(CARD, COMMAND) as u16, 0x400);
    assert_eq!(bus.word(CARD, ROM), 0);
    assert_eq!(
        (function.layout().id(), function.layout().used()),
        ((0x8086, 0x10d3), [0x1_4000, 0])
    );
}

#[test]
fn guest_learns_the_size_of_a_bar_and_finds_it_where_it_was() {
    let (function, bus) = card(32);
    let sizes = [0xffff_0000, 0, 0xffff_c00c, 0xffff_ffff, 0, 0];
    for ((offset, place), size) in (BARS..).step_by(4).zip(PLACES).zip(sizes) {
        write(function, offset, !0);
        assert_eq!(read(function, offset), size, "{offset:#x}");
        write(function, offset, place);
        assert_eq!(read(function, offset), place, "{offset:#x}");
    }
    assert_eq!(bus.word(CARD, BARS), PLACES[0]);
}

#[test]
fn guest_moves_no_bar() {
    let (function, bus) = card(32);
    for value in [0, 0x4000_0000, 0x0800_0000, 0xfff0_0000] {
        write(function, BARS, value);
        function.write(BARS + 2, Width::Half, 0xffff, 0);
        assert_eq!(
            (read(function, BARS), bus.word(CARD, BARS)),
            (PLACES[0], PLACES[0])
        );
    }
    write(function, ROM, !0);
    assert_eq!((read(function, ROM), bus.word(CARD, ROM)), (0, 0));
}

#[test]
fn guest_turns_memory_and_mastery_on_and_off_and_nothing_else() {
    let (function, bus) = card(32);
    write(function, COMMAND, !0);
    assert_eq!(bus.word(CARD, COMMAND) as u16, 0x0546);
    write(function, COMMAND, 0);
    assert_eq!(bus.word(CARD, COMMAND) as u16, 0x0400);
    assert_eq!(read(function, COMMAND), 0x0010_0400);
}

#[test]
fn error_in_the_status_is_cleared_by_its_own_byte_only() {
    let (function, bus) = card(32);
    bus.0
        .lock()
        .unwrap()
        .get_mut(&CARD)
        .unwrap()
        .get_mut(&COMMAND)
        .unwrap()
        .value = 0x2010_0400;
    function.write(COMMAND, Width::Byte, 0x06, 0);
    assert_eq!(bus.word(CARD, COMMAND), 0x2010_0406);
    function.write(COMMAND + 3, Width::Byte, 0x20, 0);
    assert_eq!(bus.word(CARD, COMMAND), 0x0010_0406);
}

#[test]
fn guest_finds_the_allowed_capabilities_in_a_list_without_gaps() {
    let (function, _) = card(32);
    let mut found = Vec::new();
    let mut offset = read(function, CAPABILITIES) as u16;
    while offset != 0 {
        let header = read(function, offset);
        found.push((offset, header as u8));
        offset = u16::from((header >> 8) as u8);
    }
    assert_eq!(
        found,
        [(0x40, 1), (0x60, 5), (0x80, 0x11), (0xa0, 0x10), (0xe0, 9)]
    );
}

#[test]
fn what_is_on_no_list_reads_as_zero_and_is_not_written() {
    let (function, bus) = card(32);
    for offset in [0x28, 0x38, 0x50, 0x54, 0xf0, 0x100, 0x104, 0xffc] {
        let before = bus.word(CARD, offset);
        write(function, offset, !0);
        assert_eq!(
            (read(function, offset), bus.word(CARD, offset)),
            (0, before),
            "{offset:#x}"
        );
    }
}

#[test]
fn power_state_reset_and_vendors_registers_are_read_only() {
    let (function, bus) = card(32);
    for (offset, reads) in [(0x44, 0x8), (0xa4, 0x8cc0), (0xe4, 0x5555_5555)] {
        let before = bus.word(CARD, offset);
        write(function, offset, !0);
        assert_eq!(
            (read(function, offset), bus.word(CARD, offset)),
            (reads, before),
            "{offset:#x}"
        );
    }
    write(function, 0xa8, 0xffff);
    assert_eq!(bus.word(CARD, 0xa8), 0x781f, "{:#x}", bus.word(CARD, 0xa8));
}

#[test]
fn pin_is_hidden_and_the_line_is_a_note() {
    let (function, _) = card(32);
    assert_eq!(read(function, INTERRUPT), 0);
    write(function, INTERRUPT, 0xffff_ff2a);
    assert_eq!(read(function, INTERRUPT), 0x2a);
}

#[test]
fn messages_are_told_where_to_and_no_more_than_the_system_allows() {
    let (function, bus) = card(4);
    // 32 messages in MSI and 64 in MSI-X, as the card has them, are 4.
    assert_eq!(read(function, 0x60) >> 17 & 7, 2);
    assert_eq!(read(function, 0x80) >> 16 & 0x7ff, 3);
    write(function, 0x64, 0x0809_0043);
    write(function, 0x68, 1);
    function.write(0x6c, Width::Half, 7, 0);
    write(function, 0x60, 0x0051_0000);
    assert_eq!(
        [0x64, 0x68, 0x6c].map(|at| bus.word(CARD, at)),
        [0x0809_0040, 1, 7]
    );
    assert_eq!(bus.word(CARD, 0x60) & 0x0071_0000, 0x0021_0000);
    write(function, 0x80, 0xc7ff_0000);
    assert_eq!(bus.word(CARD, 0x80), 0xc03f_a011);
}

#[test]
fn function_without_messages_has_neither_capability() {
    let (function, bus) = card(0);
    for offset in [0x60, 0x64, 0x80] {
        write(function, offset, !0);
        assert_eq!(read(function, offset), 0);
    }
    assert_eq!(bus.word(CARD, 0x64), 0);
    assert_eq!(read(function, 0x40) >> 8 & 0xff, 0xa0);
}

#[test]
fn accesses_of_all_widths_agree() {
    let (function, _) = card(32);
    for word in (0..4096).step_by(4) {
        let whole = read(function, word);
        let bytes = (0..4).map(|byte| function.read(word + byte, Width::Byte, 0) as u8);
        assert_eq!(bytes.collect::<Vec<_>>(), whole.to_le_bytes());
        let halves = [0, 2].map(|half| function.read(word + half, Width::Half, 0) as u16);
        assert_eq!(u32::from(halves[0]) | u32::from(halves[1]) << 16, whole);
        if word % 8 == 0 {
            let double = function.read(word, Width::Double, 0);
            assert_eq!(
                double,
                u64::from(whole) | u64::from(read(function, word + 4)) << 32
            );
        }
    }
}

#[test]
fn reset_takes_its_time_and_then_the_function_is_as_at_first() {
    let (function, bus) = card(32);
    write(function, COMMAND, 6);
    write(function, 0x80, 0x8000_0000);
    super::reset(
        core::slice::from_ref(function),
        function.config.partition,
        5000,
    );
    assert_eq!(bus.word(CARD, 0xa8) & 0x8000, 0x8000);
    // In its reset it answers nothing, and has forgotten its BARs.
    let words = bus.remove(CARD);
    assert_eq!(function.read(ID, Width::Word, 5000), u64::from(NOT_READY));
    function.write(COMMAND, Width::Word, 6, 5999);
    assert_eq!(function.read(BARS, Width::Word, 7000) as u32, !0);
    bus.0.lock().unwrap().insert(CARD, words);
    bus.put(CARD, BARS, 0, 0xffff_0000);
    assert_eq!(function.read(ID, Width::Word, 5999), u64::from(NOT_READY));
    assert_eq!(function.read(ID, Width::Word, 6000) as u32, 0x10d3_8086);
    assert_eq!(bus.word(CARD, BARS), PLACES[0]);
    assert_eq!(bus.word(CARD, COMMAND) as u16, 0x400);
    assert_eq!(bus.word(CARD, 0x80) >> 30, 0b01);
}

#[test]
fn function_that_cannot_be_reset_is_turned_off_at_once() {
    let bus = Bus::with_card(CARD);
    bus.put(CARD, 0xa4, 0x0000_8cc0, 0);
    let function = new(bus, config(CARD, LINUX, 32)).unwrap();
    write(function, COMMAND, 6);
    write(function, 0x60, 0x0011_0000);
    write(function, BARS, !0);
    function.reset(0);
    assert_eq!(bus.word(CARD, COMMAND) as u16, 0x400);
    assert_eq!(bus.word(CARD, 0x60) & 0x0071_0000, 0);
    assert_eq!(read(function, BARS), PLACES[0]);
}

#[test]
fn function_that_is_not_what_the_system_says_is_refused() {
    type Change = fn(&Bus, &mut Config);
    let cases: [(Change, PciError); 7] = [
        (|bus, _| drop(bus.remove(CARD)), PciError::Missing),
        (
            |_, config| config.id = Some((0x1af4, 0x1041)),
            PciError::Other {
                vendor: 0x8086,
                device: 0x10d3,
            },
        ),
        (
            |bus, _| bus.put(CARD, HEADER, 0x0081_0000, 0),
            PciError::Bridge,
        ),
        (|bus, _| bus.put(CARD, 0x44, 3, 0), PciError::Asleep(3)),
        (
            |bus, _| bus.put(CARD, BARS, 0, 0xfff0_1000),
            PciError::BadBar(0),
        ),
        (
            |_, config| config.window.size = 0x1_0000,
            PciError::TooLarge {
                needed: 0x1_4000,
                window: 0x1_0000,
                high: false,
            },
        ),
        (|bus, _| bus.put(CARD, 0x50, 0x6014, 0), PciError::Immovable),
    ];
    for (change, expected) in cases {
        let bus = Bus::with_card(CARD);
        let mut config = config(CARD, LINUX, 32);
        change(bus, &mut config);
        assert_eq!(new(bus, config).err(), Some(expected));
    }
}

#[test]
fn last_bar_has_no_upper_half() {
    let bus = Bus::with_card(CARD);
    bus.put(CARD, BARS + 20, 4, 0xffff_c000);
    assert_eq!(
        new(bus, config(CARD, LINUX, 1)).err(),
        Some(PciError::BadBar(5))
    );
}

#[test]
fn list_of_capabilities_that_comes_back_to_itself_ends() {
    let bus = Bus::with_card(CARD);
    bus.put(CARD, 0x50, 0x4003, 0);
    let function = new(bus, config(CARD, LINUX, 32)).unwrap();
    assert_eq!(function.layout.capabilities.len(), 1);
}

#[test]
fn functions_of_nobody_are_turned_off_and_the_host_bridge_is_left() {
    let bus = Bus::with_card(CARD);
    for (address, class) in [
        (0, 0x0600_0000),
        (0x08, 0x0200_0000),
        (CARD + 1, 0),
        (0x29, 0),
    ] {
        bus.put(address, ID, 0x1000_1af4, 0);
        bus.put(address, COMMAND, 7, 0xffff);
        bus.put(address, CLASS, class, 0);
    }
    let bridge = bridge(vec![config(CARD, LINUX, 1)]);
    let mut told = Vec::new();
    turn_off_others(bridge, 0, 32, bus, &mut |place, id| told.push((place, id)));
    // The card says that it has more functions. Device 5 has no function 0: nobody finds the other.
    assert_eq!(told, [(0x08, 0x1000_1af4), (CARD + 1, 0x1000_1af4)]);
    assert_eq!(
        [0, 0x08, CARD + 1].map(|one| bus.word(one, COMMAND)),
        [7, 0x400, 0x400]
    );
    assert_eq!(bus.word(CARD, COMMAND) & 7, 7);
}

/// A world in which `LINUX` and `RT` have a card each, and `LINUX` another function of its card's device. Resets take no time.
fn world() -> (World, &'static Bus) {
    let bus = Bus::with_card(CARD);
    let words = bus.0.lock().unwrap()[&CARD].clone();
    for address in [CARD + 1, 0x20] {
        bus.0.lock().unwrap().insert(address, words.clone());
    }
    let owned = [(CARD, LINUX), (CARD + 1, LINUX), (0x20, RT)];
    let bridge = bridge(
        owned
            .map(|(address, owner)| config(address, owner, 4))
            .to_vec(),
    );
    let functions = bridge.functions.iter();
    let functions = functions.map(|config| Function::new(bridge, config, bus, 0).unwrap());
    let world = World::new();
    let own = functions.collect::<Vec<_>>().leak();
    let _ = world.hypervisor.machine.functions.set(own);
    (world, bus)
}

/// Where a function's registers are.
const fn at(function: BusPlace, offset: u16) -> u64 {
    CONFIGURATION + ((function as u64) << 12) + offset as u64
}

#[test]
fn each_partition_sees_its_own_functions_and_all_ones_elsewhere() {
    let (world, bus) = world();
    for (partition, own, foreign) in [(LINUX, CARD, 0x20), (RT, 0x20, CARD)] {
        let mut guest = world.started(partition);
        assert_eq!(guest.load(at(own, ID), Width::Word), 0x10d3_8086);
        for other in [foreign, 0, 0x10, 0xff] {
            assert_eq!(guest.load(at(other, ID), Width::Word) as u32, !0);
            assert_eq!(guest.load(at(other, 0x10), Width::Byte), 0xff);
        }
        let before = bus.word(foreign, COMMAND);
        guest.store(at(foreign, COMMAND), Width::Word, 6);
        assert_eq!(bus.word(foreign, COMMAND), before);
        guest.store(at(own, COMMAND), Width::Half, 6);
        assert_eq!(bus.word(own, COMMAND) as u16, 0x406);
    }
}

#[test]
fn device_shows_that_it_has_more_functions_to_who_owns_them() {
    let (world, _) = world();
    let mut linux = world.started(LINUX);
    let mut rt = world.started(RT);
    let multi = |header: u64| header as u32 & MULTI_FUNCTION != 0;
    assert!(multi(linux.load(at(CARD, HEADER), Width::Word)));
    assert!(!multi(rt.load(at(0x20, HEADER), Width::Word)));
}

#[test]
fn second_bus_and_unaligned_access_are_faults() {
    let (world, _) = world();
    let mut guest = world.started(LINUX);
    for (address, width) in [
        (CONFIGURATION + (1 << 20), Width::Word),
        (at(CARD, 2), Width::Word),
        (at(CARD, 1), Width::Half),
    ] {
        let before = world.partition(LINUX).faults();
        guest.load(address, width);
        assert_eq!(world.partition(LINUX).faults(), before + 1, "{address:#x}");
    }
}

#[test]
fn restart_of_a_partition_resets_its_functions_only() {
    let (world, bus) = world();
    let mut linux = world.started(LINUX);
    let mut rt = world.started(RT);
    for (guest, function) in [(&mut linux, CARD), (&mut rt, 0x20)] {
        guest.store(at(function, COMMAND), Width::Word, 6);
    }
    linux.smc([0x8400_0009, 0, 0, 0]);
    assert_eq!(bus.word(CARD, COMMAND) & 7, 0);
    assert_eq!(bus.word(0x20, COMMAND) & 7, 6);
}

proptest! {
    /// Whatever a guest writes, the function stays where it is and does nothing but what it may.
    #[test]
    fn hostile_writes_move_nothing(
        writes in prop::collection::vec((0u16..4096, 0usize..4, any::<u64>()), 0..200),
    ) {
        let (function, bus) = card(4);
        for (offset, width, value) in writes {
            let width = [Width::Byte, Width::Half, Width::Word, Width::Double][width];
            let offset = offset & !(width.bytes() as u16 - 1);
            function.write(offset, width, value, 0);
            function.read(offset, width, 0);
        }
        prop_assert_eq!(bus.word(CARD, COMMAND) & 0x401, 0x400);
        prop_assert_eq!(bus.word(CARD, BARS), PLACES[0]);
        prop_assert_eq!(bus.word(CARD, BARS + 8) & !0xf, PLACES[2] & !0xf);
        prop_assert_eq!(bus.word(CARD, ROM), 0);
        prop_assert_eq!(bus.word(CARD, 0x44), 0x2008);
        prop_assert_eq!(bus.word(CARD, 0xa8) & 0x8000, 0);
        prop_assert!(bus.word(CARD, 0x60) >> 20 & 7 <= 2);
    }
}
