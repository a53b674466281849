//! Reads, writes and jumps outside the guest's own memory and devices.

use board::gic::{Gic, REDISTRIBUTOR_STRIDE};
use board::{Board, MAX_CPUS, Region};

use crate::probe;
use crate::report::{Attack, Tally};

const GIB: u64 = 1 << 30;
const MIB: u64 = 1 << 20;

/// Devices of QEMU's virt machine (hw/arm/virt.c, base_memmap) and what a hypervisor keeps of it for itself.
const DEVICES: [(&str, u64); 15] = [
    ("flash", 0x0000_0000),
    ("GICD", 0x0800_0000),
    ("GICC", 0x0801_0000),
    ("v2m frame", 0x0802_0000),
    ("GICH", 0x0803_0000),
    ("GICV", 0x0804_0000),
    ("ITS", 0x0808_0000),
    ("ITS translater", 0x0809_0000),
    ("UART", 0x0900_0000),
    ("RTC", 0x0901_0000),
    ("fw-cfg", 0x0902_0000),
    ("GPIO", 0x0903_0000),
    ("second UART", 0x0904_0000),
    ("SMMU", 0x0905_0000),
    ("virtio", 0x0a00_0000),
];
/// Registers tried of each device: the first ones, and the identification registers at the end of its page.
const REGISTERS: [u64; 6] = [0x000, 0x004, 0x008, 0x020, 0xfe0, 0xfe8];

/// The RAM region that holds this program.
pub fn own_ram(board: &Board) -> Region {
    let here = own_ram as *const () as u64;
    board
        .ram
        .iter()
        .copied()
        .find(|region| region.contains(here))
        .unwrap_or(Region {
            base: here,
            size: 0,
        })
}

/// All attacks on memory with the stage 1 that the boot code made: everything foreign is Device memory.
pub fn run(board: &Board, tally: &mut Tally) {
    around(board, tally);
    walk(board, tally, "Device");
    far_away(board, tally);
    devices(board, tally);
    redistributors(board, tally);
    jumps(board, tally, "Device");
}

/// Just below and just above the guest's own RAM.
fn around(board: &Board, tally: &mut Tally) {
    let ram = own_ram(board);
    let below = [4, 0x1000, 0x1_0000, MIB].map(|distance| ram.base - distance);
    let above = [0, 4, 0x1000, MIB, 16 * MIB].map(|distance| ram.end() + distance);
    let foreign = |address: &&u64| !board.owns(**address);
    let mut reads = Attack::default();
    let mut writes = Attack::default();
    for &address in below.iter().chain(&above).filter(foreign) {
        probe::read(&mut reads, address);
        probe::write(&mut writes, address);
    }
    reads.finish(tally, format_args!("read below and above my RAM"));
    writes.finish(tally, format_args!("write below and above my RAM"));
}

/// The RAM of the board, in 2 MiB steps up to 4 GiB.
pub fn walk(board: &Board, tally: &mut Tally, mapped_as: &str) {
    let mut reads = Attack::default();
    let mut writes = Attack::default();
    let mut address = GIB;
    while address < 4 * GIB {
        if !board.owns(address) {
            probe::read(&mut reads, address);
            probe::write(&mut writes, address + 8);
        }
        address += 2 * MIB;
    }
    reads.finish(tally, format_args!("read 1..4 GiB as {mapped_as}"));
    writes.finish(tally, format_args!("write 1..4 GiB as {mapped_as}"));
}

/// Whether `address` is in one of the PCIe windows of QEMU's virt machine and the tree gives us that PCIe.
pub fn is_own_pcie(board: &Board, address: u64) -> bool {
    board.has("pci-host-ecam-generic")
        && [0x1000_0000..0x4000_0000, 0x40_0000_0000..0x100_0000_0000]
            .iter()
            .any(|window| window.contains(&address))
}

/// What a 39-bit address space can reach beyond 4 GiB.
fn far_away(board: &Board, tally: &mut Tally) {
    let mut reads = Attack::default();
    for address in (4..512).map(|gib| gib * GIB) {
        if !board.owns(address) && !is_own_pcie(board, address) {
            probe::read(&mut reads, address);
        }
    }
    reads.finish(tally, format_args!("read 4..512 GiB"));
}

/// Devices that the tree does not give us.
fn devices(board: &Board, tally: &mut Tally) {
    for (name, base) in DEVICES {
        let mut reads = Attack::default();
        let mut writes = Attack::default();
        for address in REGISTERS.map(|register| base + register) {
            if !board.owns(address) {
                probe::read(&mut reads, address);
                probe::write(&mut writes, address);
            }
        }
        reads.finish(tally, format_args!("read a foreign {name}"));
        writes.finish(tally, format_args!("write a foreign {name}"));
    }
}

/// Redistributors after that of our last CPU.
fn redistributors(board: &Board, tally: &mut Tally) {
    let Gic::V3(gic) = board.gic else { return };
    let last = board
        .cpus
        .iter()
        .filter_map(|&affinity| gic.redistributor(affinity))
        .max();
    let Some(last) = last else { return };
    let mut reads = Attack::default();
    let mut writes = Attack::default();
    for cpu in 1..=MAX_CPUS as u64 {
        let frame = last + cpu * REDISTRIBUTOR_STRIDE;
        for register in [0x08, 0x0c, 0x14, 0xffe8, 0x1_0100, 0x1_0400] {
            probe::read(&mut reads, frame + register);
            probe::write(&mut writes, frame + register);
        }
    }
    reads.finish(tally, format_args!("read redistributors of other CPUs"));
    writes.finish(tally, format_args!("write redistributors of other CPUs"));
}

/// Jumps to where nothing of ours is.
pub fn jumps(board: &Board, tally: &mut Tally, mapped_as: &str) {
    let ram = own_ram(board);
    let targets = [
        0x0,
        0x0803_0000,
        ram.base - 4,
        ram.end(),
        2 * GIB,
        2 * GIB + 2,
        3 * GIB,
        64 * GIB,
        0xffff_ffff_0000_0000,
    ];
    let mut attack = Attack::default();
    for target in targets {
        if !board.owns(target) {
            probe::jump(&mut attack, target);
        }
    }
    attack.finish(tally, format_args!("jump to foreign memory as {mapped_as}"));
}
