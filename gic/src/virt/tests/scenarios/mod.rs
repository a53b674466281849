//! What guests and devices do, and what others got wrong.

mod crowded;
mod delivery;
mod elsewhere;
mod field;
mod grants;
mod restart;
mod software;

use super::*;

const ENABLE: u32 = 0x100;
const DISABLE: u32 = 0x180;
const PEND: u32 = 0x200;
const UNPEND: u32 = 0x280;
const ACTIVATE: u32 = 0x300;
const DEACTIVATE: u32 = 0x380;
const BOTH: [Version; 2] = [Version::V2, Version::V3];

fn put(machine: &mut Machine, cpu: u8, array: u32, intid: IntId) {
    let (offset, value) = bit(array, intid);
    machine.set(cpu, offset, value);
}

fn is_set(machine: &mut Machine, cpu: u8, array: u32, intid: IntId) -> bool {
    let (offset, value) = bit(array, intid);
    machine.get(cpu, offset) & value != 0
}

fn route(machine: &mut Machine, intid: IntId, cpu: u64) {
    match machine.vgic.geometry.version {
        Version::V2 => machine.write(
            0,
            Frame::Distributor,
            0x800 + intid.get(),
            Width::Byte,
            1 << cpu,
        ),
        Version::V3 => machine.write(
            0,
            Frame::Distributor,
            0x6000 + 8 * intid.get(),
            Width::Double,
            ((cpu / 4) << 8) | (cpu % 4),
        ),
    };
}
