//! A physical ITS that refuses what no partition may ask of it. The fuzz target `virtual_its` includes this file: it names only what its parent has.

use super::{Change, DeviceIds, IntId, Ipa, VirtualIts};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};

/// The partition's part of the system's ITS.
pub static CONFIG: VirtualIts = VirtualIts {
    base: Ipa::new(0x808_0000),
    devices: &[DeviceIds {
        first: 0x10,
        count: 0x20,
    }],
    share: 2,
};
pub const FIRST_PHYSICAL: u32 = 8192 + 512;
pub const FIRST_COLLECTION: u16 = 32;
pub const FIRST_TABLE: u16 = 64;
/// Devices that can have a table at the same time.
pub const TABLES: usize = 4;

/// A physical ITS, as the changes leave it.
#[derive(Default)]
pub struct PhysicalIts {
    /// DeviceID to the number of its table.
    pub tables: RefCell<BTreeMap<u32, u16>>,
    /// DeviceID and EventID to LPI and collection.
    pub events: RefCell<BTreeMap<(u32, u16), (IntId, u16)>>,
    pub enabled: RefCell<BTreeSet<IntId>>,
    pub collections: RefCell<BTreeMap<u16, u8>>,
    /// How many changes it was told of.
    pub changes: Cell<u32>,
    /// It does nothing any more.
    pub broken: Cell<bool>,
}

impl PhysicalIts {
    fn own(collection: u16) {
        assert!(
            (FIRST_COLLECTION..FIRST_COLLECTION + 16).contains(&collection),
            "collection {collection} is not the partition's"
        );
    }

    /// Does what it is told, or panics when it must not be told so.
    pub fn apply(&self, change: Change) -> bool {
        self.changes.set(self.changes.get() + 1);
        if self.broken.get() {
            return false;
        }
        let mut events = self.events.borrow_mut();
        match change {
            Change::Device {
                device,
                slot,
                mapped,
            } => {
                assert!(CONFIG.devices[0].contains(device));
                assert!((FIRST_TABLE..FIRST_TABLE + TABLES as u16).contains(&slot));
                let mut tables = self.tables.borrow_mut();
                if mapped {
                    assert!(!tables.values().any(|used| *used == slot));
                    assert_eq!(tables.insert(device, slot), None);
                } else {
                    assert_eq!(tables.remove(&device), Some(slot));
                    assert!(events.keys().all(|(of, _)| *of != device));
                }
            }
            Change::Map {
                device,
                event,
                lpi,
                collection,
            } => {
                Self::own(collection);
                assert!(self.tables.borrow().contains_key(&device) && event < 64);
                assert!((FIRST_PHYSICAL..FIRST_PHYSICAL + 256).contains(&lpi.get()));
                assert!(events.values().all(|(other, _)| *other != lpi));
                assert_eq!(events.insert((device, event), (lpi, collection)), None);
            }
            Change::Move {
                device,
                event,
                collection,
            } => {
                Self::own(collection);
                events.get_mut(&(device, event)).expect("mapped").1 = collection;
            }
            Change::Enable {
                device,
                event,
                lpi,
                collection,
                enabled,
            } => {
                assert_eq!(events.get(&(device, event)), Some(&(lpi, collection)));
                let mut all = self.enabled.borrow_mut();
                assert_ne!(all.contains(&lpi), enabled);
                match enabled {
                    true => all.insert(lpi),
                    false => all.remove(&lpi),
                };
            }
            Change::Clear {
                device,
                event,
                collection,
            } => {
                let found = events.get(&(device, event)).expect("mapped");
                assert_eq!(found.1, collection);
            }
            Change::Discard {
                device,
                event,
                collection,
            } => {
                let (lpi, from) = events.remove(&(device, event)).expect("mapped");
                assert_eq!(from, collection);
                self.enabled.borrow_mut().remove(&lpi);
            }
            Change::Collect { collection, cpu } => {
                Self::own(collection);
                self.collections.borrow_mut().insert(collection, cpu.get());
            }
        }
        true
    }

    /// Where a message of a device arrives: which LPI, and on which virtual CPU's physical CPU.
    pub fn signal(&self, device: u32, event: u16) -> Option<(IntId, u8)> {
        let (lpi, collection) = *self.events.borrow().get(&(device, event))?;
        let cpu = *self.collections.borrow().get(&collection)?;
        self.enabled.borrow().contains(&lpi).then_some((lpi, cpu))
    }
}
