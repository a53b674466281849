//! As much of PCI as it takes to find one function and to turn it on (PCI Local Bus 3.0, 6.1 and 6.2.5; Linux, host-generic-pci.yaml).

use board::sleep::Sleeper;
use board::{Node, mmio};

use crate::edu::Edu;

/// Vendor and device of QEMU's `edu`.
const EDU: u32 = 0x11e8_1234;
/// Command register: answers at its addresses, may write memory by itself.
const COMMAND: u64 = 0x04;
const MEMORY_AND_MASTER: u32 = 0b110;
const BAR0: u64 = 0x10;
/// Devices on a bus.
const DEVICES: u64 = 32;
/// In `ranges`, the first cell of a window of 32-bit memory.
const MEMORY_32: u32 = 0x0200_0000;
/// Cells of an entry of `ranges`: three of PCI, two of the CPU, two of size.
const ENTRY: usize = 7;

/// Finds the device on the first bus, gives it the first addresses of the bridge's window, and turns it on.
pub fn find_edu<'a>(bridge: Node<'_>, sleeper: &'a Sleeper) -> Result<Edu<'a>, &'static str> {
    let configuration = bridge.region().ok_or("the bridge has no reg")?.base;
    let window = window(bridge).ok_or("the bridge has no window of 32-bit memory")?;
    let function = (0..DEVICES)
        .map(|device| configuration + (device << 15))
        // SAFETY: the bridge is this guest's own: each function of its first bus has 4 KiB of registers there.
        .find(|function| unsafe { mmio::read32(*function) } == EDU)
        .ok_or("no edu on the first bus")?;
    // SAFETY: the registers of the device that was found; nobody else uses them or the window.
    unsafe {
        mmio::write32(function + BAR0, window as u32);
        let command = mmio::read32(function + COMMAND);
        mmio::write32(function + COMMAND, command | MEMORY_AND_MASTER);
        Ok(Edu::new(window, sleeper))
    }
}

/// The first window of 32-bit memory, which the CPU sees where the bus does.
fn window(bridge: Node<'_>) -> Option<u64> {
    let cells = bridge.bytes("ranges")?;
    let cell = |entry: &[u8], index: usize| {
        let bytes = entry.get(index * 4..index * 4 + 4)?;
        Some(u32::from_be_bytes(bytes.try_into().ok()?))
    };
    cells.chunks_exact(ENTRY * 4).find_map(|entry| {
        let [kind, bus, high, low] = [0, 2, 3, 4].map(|index| cell(entry, index));
        let same = high? == 0 && bus? == low?;
        (kind? & 0x0300_0000 == MEMORY_32 && same).then_some(u64::from(low?))
    })
}
