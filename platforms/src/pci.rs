//! The board's PCI host bridges of which partitions own functions one by one: found, closed, and handed to the core.

use hv::arch::aarch64::el2::El2;
use hv::pci::{ConfigurationSpace, Function, open};
use hv::sync::BootCell;
use model::PartitionId;
use model::pci::{Bridge, Place, Port};
use platforms::device_tree::DeviceTree;

use crate::SYSTEM;
use crate::bring_up::Differs;
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
    let mut spaces = [const { Ecam { base: 0, first: 0 } }; BRIDGES];
    let mut i = 0;
    while i != BRIDGES {
        #[allow(clippy::indexing_slicing, reason = "evaluated when compiled")]
        let (space, bridge) = (&mut spaces[i], &SYSTEM.bridges[i]);
        *space = Ecam {
            base: bridge.configuration.base.get(),
            first: bridge.first_bus,
        };
        i += 1;
    }
    spaces
}

/// Configuration space of a bridge's buses (PCI Express Base 5.0, 7.2.2).
struct Ecam {
    base: u64,
    /// Number of the bus that it begins with.
    first: u8,
}

impl Ecam {
    fn register(&self, function: Place, offset: u16) -> *mut u32 {
        let word = u64::from(offset) & (Bridge::FUNCTION - 4);
        let function = u64::from(function).wrapping_sub(u64::from(self.first) << 8);
        let address = self
            .base
            .wrapping_add(function.wrapping_mul(Bridge::FUNCTION))
            + word;
        core::ptr::with_exposed_provenance_mut(address as usize)
    }
}

impl ConfigurationSpace for Ecam {
    fn read(&self, function: Place, offset: u16) -> u32 {
        // SAFETY: `map` maps 1 MiB for each bus that the system names, where they are, and the core asks for no other. Registers are words of any value.
        unsafe { self.register(function, offset).read_volatile() }
    }

    fn write(&self, function: Place, offset: u16, value: u32) {
        // SAFETY: as above. The core locks each function, and writes nothing that moves it to somebody else's addresses.
        unsafe { self.register(function, offset).write_volatile(value) }
    }
}

/// Stops the boot when a bridge is not where the system expects it.
pub fn compare(tree: &DeviceTree<'_>, differs: Differs) {
    const WANTED: &str = "pci-host-ecam-generic";
    for bridge in SYSTEM.bridges {
        let base = bridge.configuration.base.get();
        let found = tree.has(&[WANTED], base);
        if !found {
            differs(format_args!(
                "this image expects the PCI host bridge {} ({WANTED}) at {base:#x}, and the device tree has none there",
                bridge.path
            ));
        }
    }
}

/// Turns off every function that nobody owns, sets up the bridges to the others, and places their BARs.
pub fn bring_up() {
    let pause = El2::frequency() / 10;
    let mut functions = Functions::new();
    for (bridge, space) in SYSTEM.bridges.iter().zip(&SPACES) {
        let mut others = |place: Place, id: u32| {
            line(format_args!(
                "{}: function {:02x}:{:02x}.{} ({:04x}:{:04x}) is nobody's, turned off",
                bridge.path,
                place >> 8,
                place >> 3 & 0x1f,
                place & 7,
                id & 0xffff,
                id >> 16
            ));
        };
        if let Err((port, error)) = open(bridge, space, &mut others) {
            let function = bridge.functions.iter().find(|one| port.leads_to(one.place));
            let (path, partition) =
                function.map_or(("", ""), |one| (one.path, name(one.partition)));
            stop(format_args!(
                "{path} cannot be given to partition {partition}: at {} {error}",
                port.path
            ));
        }
        bridge.ports.iter().for_each(told);
        for config in bridge.functions {
            match Function::new(bridge, config, space, pause) {
                Ok(function) => {
                    let (vendor, device) = function.layout().id();
                    let [below, above] = function.layout().used();
                    line(format_args!(
                        "{}: {vendor:04x}:{device:04x}, {below:#x} bytes of BARs at {:#x}, {above:#x} above 4 GiB",
                        config.path, config.window.base
                    ));
                    // There is room for all of them.
                    drop(functions.push(function));
                }
                Err(error) => stop(format_args!(
                    "{} cannot be given to partition {}: {error}",
                    config.path,
                    name(config.partition)
                )),
            }
        }
    }
    // Set once, here.
    let _ = FUNCTIONS.set(functions);
}

fn told(port: &Port) {
    let how = match port.separates {
        true => "functions behind it are kept apart (ACS)",
        false => "functions behind it are not kept apart",
    };
    line(format_args!(
        "{}: bus {:#04x}, {how}",
        port.path, port.secondary
    ));
}

fn name(partition: PartitionId) -> &'static str {
    let partition = SYSTEM.partitions.get(usize::from(partition.get()));
    partition.map_or("", |partition| partition.name)
}

/// The functions that partitions own.
pub fn functions() -> &'static [Function] {
    FUNCTIONS.get().map_or(&[], |functions| functions)
}
