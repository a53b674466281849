//! The driver against an ITS that reads its queue as the hardware does.

use super::*;
use model::VcpuId;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

/// Registers that behave.
#[derive(Default)]
struct Fake {
    words: RefCell<BTreeMap<usize, u64>>,
    executed: RefCell<Vec<Command>>,
    /// It does not read its queue any more.
    dead: Cell<bool>,
    /// The page size that its tables insist on.
    page_size: Cell<Option<u64>>,
    busy: Cell<bool>,
    /// Collections that it holds by itself, without a table for more.
    held: Cell<Option<u64>>,
}

const KIND: u64 = 1 | 11 << 4 | 15 << 8 | 15 << 13;
const DEVICES: usize = 0x100;
const COLLECTED: usize = 0x108;

impl Registers for &Fake {
    fn read(&self, offset: usize) -> u32 {
        let value = self.read64(offset) as u32;
        match offset {
            0 if !self.busy.get() && value & 1 == 0 => value | 1 << 31,
            _ => value,
        }
    }
    fn write(&self, offset: usize, value: u32) {
        self.write64(offset, value.into());
    }
    fn read64(&self, offset: usize) -> u64 {
        let value = self.words.borrow().get(&offset).copied().unwrap_or(0);
        match offset {
            8 => KIND | self.held.get().unwrap_or(0) << 24,
            COLLECTED if self.held.get().is_some() => 0,
            DEVICES => value | 1 << 56 | 7 << 48,
            COLLECTED => value | 4 << 56 | 7 << 48,
            _ => value,
        }
    }
    fn write64(&self, offset: usize, mut value: u64) {
        if let (DEVICES | COLLECTED, Some(size)) = (offset, self.page_size.get()) {
            value = value & !0x300 | size << 8;
        }
        self.words.borrow_mut().insert(offset, value);
        if offset == 0x88 && !self.dead.get() {
            self.drain(value);
        }
    }
}

impl Fake {
    fn drain(&self, end: u64) {
        let queue = self.words.borrow()[&0x80];
        let base = queue & 0xf_ffff_ffff_f000;
        let mut place = self.words.borrow().get(&0x90).copied().unwrap_or(0);
        while place != end {
            let words = core::array::from_fn(|index| {
                let at = base + place + index as u64 * 8;
                // SAFETY: the queue lies in the leaked memory of the test, which only this thread uses.
                unsafe { (at as *const u64).read_volatile() }
            });
            let command = Command::decode(words).expect("a command");
            self.executed.borrow_mut().push(command);
            place = (place + 32) % (((queue & 0xff) + 1) * 4096);
        }
        self.words.borrow_mut().insert(0x90, place);
    }

    fn take(&self) -> Vec<Command> {
        self.executed.take()
    }
}

fn memory() -> *mut ItsMemory<4> {
    Box::leak(Box::new(ItsMemory::new()))
}

fn driver(fake: &Fake) -> Its<&Fake> {
    let memory = memory();
    // SAFETY: the memory is leaked and this driver's and its fake's alone.
    unsafe { Its::with_registers(fake, memory, memory as u64) }
}

fn started(fake: &Fake) -> Its<&Fake> {
    let mut its = driver(fake);
    its.init().unwrap();
    its
}

const LPI: IntId = IntId::new(8192 + 3);

fn map(collection: u16) -> Change {
    Change::Map {
        device: 0x18,
        event: 2,
        lpi: LPI,
        collection,
    }
}

#[test]
fn tables_and_queue_are_given_uncached_and_valid() {
    let fake = Fake::default();
    let its = started(&fake);
    for register in [DEVICES, COLLECTED, 0x80] {
        let value = fake.read64_of(register);
        assert_eq!(value >> 59, 0b1_0001, "{register:#x}");
        assert_eq!(value & 0xf000, 0, "{register:#x}");
    }
    assert_eq!(fake.read64_of(DEVICES) & 0x3ff, 15, "16 pages of 4 KiB");
    assert_eq!(fake.read64_of(0), 1, "enabled");
    assert_eq!(its.devices, 8192);
}

#[test]
fn page_size_that_the_hardware_insists_on_is_used() {
    let fake = Fake::default();
    fake.page_size.set(Some(2));
    let _ = started(&fake);
    assert_eq!(
        fake.read64_of(DEVICES) & 0x3ff,
        2 << 8,
        "one page of 64 KiB"
    );
}

#[test]
fn collections_that_the_hardware_holds_need_no_table_when_they_are_enough() {
    let fake = Fake::default();
    fake.held.set(Some(16));
    let mut its = started(&fake);
    assert!(its.change(map(15), 0));
    fake.held.set(Some(15));
    assert!(matches!(driver(&fake).init(), Err(GicError::ItsUnfit(_))));
}

#[test]
fn its_that_never_rests_is_an_error() {
    let fake = Fake::default();
    fake.busy.set(true);
    assert_eq!(driver(&fake).init(), Err(GicError::ItsBusy));
}

#[test]
fn mapped_event_is_disabled_until_it_is_enabled() {
    let fake = Fake::default();
    let mut its = started(&fake);
    let target = 2 << 16;
    let cpu = VcpuId::new(0);
    assert!(its.change(Change::Collect { collection: 1, cpu }, target));
    fake.take();

    assert!(its.change(map(1), 0));
    assert_eq!(property(&its), 0xa0);
    let enable = Change::Enable {
        device: 0x18,
        event: 2,
        lpi: LPI,
        collection: 1,
        enabled: true,
    };
    assert!(its.change(enable, 0));

    assert_eq!(property(&its), 0xa1);
    let (device, event) = (0x18, 2);
    let expected = [
        Command::Mapti {
            device,
            event,
            intid: 8195,
            collection: 1,
        },
        Command::Sync { target },
        Command::Inv { device, event },
        Command::Sync { target },
    ];
    assert_eq!(fake.take(), expected);
}

fn property<R>(its: &Its<R>) -> u32 {
    its.memory.read(part::PROPERTIES) >> 24
}

#[test]
fn each_table_of_a_device_has_its_own_memory() {
    let fake = Fake::default();
    let mut its = started(&fake);
    let give = |its: &mut Its<&Fake>, device, slot| {
        its.change(
            Change::Device {
                device,
                slot,
                mapped: true,
            },
            0,
        )
    };
    assert!(give(&mut its, 1, 0) && give(&mut its, 2, 3));
    assert!(!give(&mut its, 3, 4), "there are four");
    assert!(!give(&mut its, 8192, 1), "beyond the device table");

    let tables: Vec<u64> = fake
        .take()
        .into_iter()
        .filter_map(|command| match command {
            Command::Mapd {
                table,
                bits: 6,
                valid: true,
                ..
            } => Some(table),
            _ => None,
        })
        .collect();
    assert_eq!(tables.len(), 2);
    assert_eq!(tables[1] - tables[0], 3 * 64 * 16);
    assert_eq!(tables[0] % 256, 0);
}

#[test]
fn queue_goes_on_at_its_beginning() {
    let fake = Fake::default();
    let mut its = started(&fake);
    for _ in 0..100 {
        assert!(its.change(map(0), 0));
    }
    assert_eq!(fake.take().len(), 200);
}

#[test]
fn hardware_that_reads_no_commands_is_told_and_not_waited_for_without_end() {
    let fake = Fake::default();
    let mut its = started(&fake);
    fake.dead.set(true);
    assert!(!its.change(map(0), 0));
}

#[test]
fn collection_that_the_driver_has_no_place_for_is_refused() {
    let fake = Fake::default();
    let mut its = started(&fake);
    assert!(!its.change(map(MOST_COLLECTIONS as u16), 0));
    assert!(fake.take().is_empty());
}

impl Fake {
    fn read64_of(&self, register: usize) -> u64 {
        self.words.borrow().get(&register).copied().unwrap_or(0)
    }
}
