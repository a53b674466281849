//! The board's PCI host bridges of which partitions own functions one by one: found, closed, and handed to the core.

use hv::arch::aarch64::el2::El2;
use hv::pci::{ConfigurationSpace, Function, turn_off_others};
use hv::sync::BootCell;
use model::pci::Bridge;
use platforms::device_tree::DeviceTree;

use crate::SYSTEM;
use crate::early::{line, stop};

/// PCI host bridges.
pub const BRIDGES: usize = SYSTEM.bridges.len();
type Functions = heapless::Vec<Function, { functions_owned() }>;

/// What the core needs of each bridge, in their order.
static SPACES: [Ecam; BRIDGES] = spaces();
/// All functions that partitions own.
static FUNCTIONS: BootCell<Functions> = BootCell::new();

const fn functions_owned() -> usize {
    let (mut i, mut sum) = (0, 0);
    while i != BRIDGES {
        #[allow(clippy::indexing_slicing, reason = "evaluated when compiled")]
        let bridge = &SYSTEM.bridges[i];
        sum += bridge.functions.len();
        i += 1;
    }
    sum
}

const fn spaces() -> [Ecam; BRIDGES] {
    let mut spaces = [const { Ecam(0) }; BRIDGES];
    let mut i = 0;
    while i != BRIDGES {
        #[allow(clippy::indexing_slicing, reason = "evaluated when compiled")]
        let (space, bridge) = (&mut spaces[i], &SYSTEM.bridges[i]);
        *space = Ecam(bridge.configuration.base.get());
        i += 1;
    }
    spaces
}

/// Configuration space of a bridge's first bus, at this address (PCI Express Base 5.0, 7.2.2).
struct Ecam(u64);

impl Ecam {
    fn register(&self, function: u8, offset: u16) -> *mut u32 {
        let word = u64::from(offset) & (Bridge::FUNCTION - 4);
        let address = self.0 + u64::from(function) * Bridge::FUNCTION + word;
        core::ptr::with_exposed_provenance_mut(address as usize)
    }
}

impl ConfigurationSpace for Ecam {
    fn read(&self, function: u8, offset: u16) -> u32 {
        // SAFETY: `map` maps the 1 MiB of the bus where it is, and `register` stays inside: 256 functions of 4 KiB. Registers are words of any value.
        unsafe { self.register(function, offset).read_volatile() }
    }

    fn write(&self, function: u8, offset: u16, value: u32) {
        // SAFETY: as above. The core locks each function, and writes nothing that moves it to somebody else's addresses.
        unsafe { self.register(function, offset).write_volatile(value) }
    }
}

/// Stops the boot when a bridge is not where the system expects it.
pub fn compare(tree: &DeviceTree<'_>) {
    const WANTED: &str = "pci-host-ecam-generic";
    for bridge in SYSTEM.bridges {
        let base = bridge.configuration.base.get();
        let found = tree.has(&[WANTED], base);
        if !found {
            stop(format_args!(
                "this image expects the PCI host bridge {} ({WANTED}) at {base:#x}, and the device tree has none there",
                bridge.path
            ));
        }
    }
}

/// Turns off every function that nobody owns, and places the BARs of the others.
pub fn bring_up() {
    let pause = El2::frequency() / 10;
    let mut functions = Functions::new();
    for (bridge, space) in SYSTEM.bridges.iter().zip(&SPACES) {
        turn_off_others(bridge, space, |address, id| {
            line(format_args!(
                "{}: device {:02x}.{} ({:04x}:{:04x}) is nobody's, turned off",
                bridge.path,
                address >> 3,
                address & 7,
                id & 0xffff,
                id >> 16
            ));
        });
        for config in bridge.functions {
            match Function::new(bridge, config, space, pause) {
                Ok(function) => {
                    let (vendor, device) = function.layout().id();
                    line(format_args!(
                        "{}: {vendor:04x}:{device:04x}, {:#x} bytes of BARs at {:#x}",
                        config.path,
                        function.layout().used(),
                        config.bus
                    ));
                    // There is room for all of them.
                    drop(functions.push(function));
                }
                Err(error) => stop(format_args!(
                    "{} cannot be given to its partition: {error}",
                    config.path
                )),
            }
        }
    }
    // Set once, here.
    let _ = FUNCTIONS.set(functions);
}

/// The functions that partitions own.
pub fn functions() -> &'static [Function] {
    FUNCTIONS.get().map_or(&[], |functions| functions)
}
