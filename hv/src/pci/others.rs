//! Functions that no partition owns: turned off, whatever firmware left.

use model::pci::{Bridge, Place};

use super::registers::{
    BUSES, CLASS, COMMAND, HEADER, HEADER_BRIDGE, HEADER_TYPE, ID, MULTI_FUNCTION, command,
};
use super::{ConfigurationSpace, NOBODY};

/// Turns off every function of this bus that no partition owns, but for the host bridge itself: it answers at no address, and writes nothing. Bridges
/// are closed: nothing behind them is reached, and nothing there reaches anything. `devices`: how many there can be. Tells `each` where a function is
/// that nobody owns and that leads to no other, and its vendor and device.
pub fn turn_off_others(
    bridge: &Bridge,
    bus: u8,
    devices: u8,
    space: &dyn ConfigurationSpace,
    each: &mut dyn FnMut(Place, u32),
) {
    const HOST_BRIDGE: u32 = 0x0600;
    for device in 0..devices {
        // A device without function 0 is none (PCI 3.2.2.3.4).
        let first = Place::from(bus) << 8 | Place::from(device) << 3;
        if space.read(first, ID) == NOBODY {
            continue;
        }
        let functions = match space.read(first, HEADER) & MULTI_FUNCTION {
            0 => 1,
            _ => 8,
        };
        for place in first..first + functions {
            let id = space.read(place, ID);
            let owned = bridge.functions.iter().any(|one| one.place == place);
            if id == NOBODY || owned || space.read(place, CLASS) >> 16 == HOST_BRIDGE {
                continue;
            }
            space.write(place, COMMAND, command::INTX_DISABLE);
            if space.read(place, HEADER) & HEADER_TYPE == HEADER_BRIDGE {
                // It answers for no bus number that firmware gave it.
                space.write(place, BUSES, 0);
            }
            if !bridge.ports.iter().any(|port| port.place == place) {
                each(place, id);
            }
        }
    }
}
