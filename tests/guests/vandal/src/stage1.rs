//! Attacks through the guest's own stage 1: it may map what it likes, and must still reach nothing foreign.

use board::mmu::{self, DEVICE, ENTRIES, LEVEL1_BLOCK, LEVEL2_BLOCK, NORMAL, SPLIT_BASE};
use board::{Board, Region};

use crate::report::{Attack, Tally};
use crate::{instructions, memory, probe};

/// A level-1 entry that maps nothing of ours: 300 GiB.
const SPARE: u64 = 300;
/// Output addresses beyond what the identity map reaches: within the intermediate physical address space, at its edge, and
/// beyond every CPU's.
const OUTPUTS: [u64; 6] = [
    0x10_0000_0000,
    0x30_0000_0000,
    0x60_0000_0000,
    0xff_c000_0000,
    0x100_0000_0000,
    0x8000_0000_0000,
];
/// Where page tables would lie that are not ours.
const TABLES: [u64; 5] = [0x0, 0x0803_0000, 0x8000_0000, 0xc000_0000, 0x10_0000_0000];
const TABLE: u64 = 0b11;

/// Maps everything foreign as Normal, executable memory and attacks again; then misuses single descriptors.
pub fn run(board: &Board, tally: &mut Tally) {
    set_foreign(board, NORMAL);
    memory::walk(board, tally, "Normal");
    memory::jumps(board, tally, "Normal");
    instructions::edges(board, tally, "Normal");
    set_foreign(board, DEVICE);

    let mut attack = Attack::default();
    for output in OUTPUTS {
        if !board.owns(output) && !memory::is_own_pcie(board, output) {
            through_spare(&mut attack, output | NORMAL);
        }
    }
    attack.finish(tally, format_args!("map and read far output addresses"));

    let mut attack = Attack::default();
    for table in TABLES {
        if !board.owns(table) {
            through_spare(&mut attack, table | TABLE);
        }
    }
    attack.finish(tally, format_args!("walk foreign page tables"));
}

/// Reads through the spare entry and removes it again.
fn through_spare(attack: &mut Attack, descriptor: u64) {
    // SAFETY: the entry maps nothing that this program uses.
    unsafe { mmu::set_level1(SPARE, descriptor) };
    probe::read(attack, SPARE * LEVEL1_BLOCK);
    // SAFETY: as above; the entry gets its old value.
    unsafe { mmu::set_level1(SPARE, (SPARE * LEVEL1_BLOCK) | DEVICE) };
}

/// Maps all blocks with these attributes that hold neither RAM nor (the first GiB) devices of ours.
fn set_foreign(board: &Board, attributes: u64) {
    let ours = |block: Region| {
        board
            .ram
            .iter()
            .any(|ram| ram.base < block.end() && block.base < ram.end())
    };
    for index in 0..ENTRIES {
        let small = Region {
            base: SPLIT_BASE + index * LEVEL2_BLOCK,
            size: LEVEL2_BLOCK,
        };
        let large = Region {
            base: index * LEVEL1_BLOCK,
            size: LEVEL1_BLOCK,
        };
        // SAFETY: the blocks hold nothing of ours, and they keep their addresses.
        unsafe {
            if !ours(small) {
                mmu::set_level2(index, small.base | attributes);
            }
            if large.base > SPLIT_BASE && !ours(large) {
                mmu::set_level1(index, large.base | attributes);
            }
        }
    }
}
