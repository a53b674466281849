//! Registers of an IPMMU and their fields.

use model::ipmmu::Generation;

/// Of a context: control.
pub const IMCTR: usize = 0x00;
/// Of a context, main instance only: the shape of its table.
pub const IMTTBCR: usize = 0x08;
/// Of a context, main instance only: bits 31:12 of its table's address.
pub const IMTTLBR0: usize = 0x10;
/// Of a context, main instance only: bits 39:32 of its table's address.
pub const IMTTUBR0: usize = 0x14;
/// Of a context, main instance only: what faulted. Cleared by writing 0.
pub const IMSTR: usize = 0x20;
/// Of a context, main instance only: memory types that stage-1 descriptors choose from.
pub const IMMAIR0: usize = 0x28;
/// Of a context, main instance only: bits 31:0 of the address that faulted. Lost when IMSTR is cleared.
pub const IMELAR: usize = 0x30;
/// Of a context, main instance only: bits 39:32 of that address.
pub const IMEUAR: usize = 0x34;

/// IMCTR: translate.
pub const MMUEN: u32 = 1 << 0;
/// IMCTR and IMUCTR: forget translations; reads 0 when that is done.
pub const FLUSH: u32 = 1 << 1;
/// IMCTR: faults raise the interrupt.
pub const INTEN: u32 = 1 << 2;
/// IMCTR, main instance only: descriptors are those of VMSAv8-64.
pub const VA64: u32 = 1 << 29;

/// IMTTBCR: long descriptors.
pub const EAE: u32 = 1 << 31;
/// IMTTBCR: no stage 1 comes before the walk.
pub const PMB: u32 = 1 << 30;
/// IMTTBCR.SL0: a walk of stage 2 begins at level 1.
pub const STAGE_2_LEVEL_1: u32 = 1 << 6;
/// IMTTBCR.SL0: a walk of stage 1 begins at level 1.
pub const STAGE_1_LEVEL_1: u32 = 2 << 6;

/// IMSTR: nothing is mapped there.
pub const TF: u32 = 1 << 0;
/// IMSTR: no right to it.
pub const PF: u32 = 1 << 1;
/// IMSTR: reading the table was answered with an error.
pub const ABORT: u32 = 1 << 2;
/// IMSTR: two translations of one address are known.
pub const MHIT: u32 = 1 << 4;

/// IMUCTR: the micro-TLB translates.
pub const MICRO_TLB_ON: u32 = 1 << 0;
/// IMUCTR: the lowest bit of the context's number.
pub const TTSEL: u32 = 4;

/// Of an instance: IMSCTLR.
pub const IMSCTLR: usize = 0x500;
/// IMSCTLR: devices are let through by security groups as well.
pub const USE_SECGRP: u32 = 1 << 28;
/// Of the main instance: IMSAUXCTLR.
pub const IMSAUXCTLR: usize = 0x504;
/// IMSAUXCTLR: tables are those of stage 2.
pub const S2PTE: u32 = 1 << 3;

/// Where a context's registers begin. Those from number 8 on lie half a page further; in Gen4 each context has a page of its own.
pub const fn context(generation: Generation, number: u8) -> usize {
    let number = number as usize;
    let within = if number < 8 {
        number * 0x40
    } else {
        0x800 + (number - 8) * 0x40
    };
    match generation {
        Generation::Gen3 => within,
        Generation::Gen4 => 0x1_0000 + number * 0x1000 + within,
    }
}

/// IMUCTR of a micro-TLB. IMUASID lies 8 behind it.
pub const fn micro_tlb(generation: Generation, number: u8) -> usize {
    let number = number as usize;
    let within = if number < 32 {
        0x300 + number * 0x10
    } else {
        0x600 + (number - 32) * 0x10
    };
    match generation {
        Generation::Gen3 => within,
        Generation::Gen4 => 0x3000 + within,
    }
}

/// Bits of IMUCTR that say which context it is.
pub const fn selection(generation: Generation) -> u32 {
    match generation {
        Generation::Gen3 => 0xf << TTSEL,
        Generation::Gen4 => 0x1f << TTSEL,
    }
}

/// Where the registers of a whole instance begin, [`IMSCTLR`] and its neighbours.
pub const fn instance(generation: Generation) -> usize {
    match generation {
        Generation::Gen3 => 0,
        Generation::Gen4 => 0x1000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registers_lie_where_the_drivers_of_linux_and_xen_have_them() {
        let gen3 = |number| context(Generation::Gen3, number);
        assert_eq!([gen3(0), gen3(1), gen3(7)], [0, 0x40, 0x1c0]);
        let gen4 = |number| context(Generation::Gen4, number);
        let expected = [0x1_0000, 0x1_1040, 0x1_71c0, 0x1_8800, 0x1_f9c0];
        assert_eq!([0, 1, 7, 8, 15].map(gen4), expected);
        let gen3 = |number| micro_tlb(Generation::Gen3, number);
        assert_eq!([0, 31, 32, 47].map(gen3), [0x300, 0x4f0, 0x600, 0x6f0]);
        let gen4 = |number| micro_tlb(Generation::Gen4, number);
        assert_eq!([0, 32, 63].map(gen4), [0x3300, 0x3600, 0x37f0]);
    }

    #[test]
    fn all_registers_lie_within_what_a_device_tree_gives_an_instance() {
        for generation in [Generation::Gen3, Generation::Gen4] {
            let contexts = (0..generation.contexts()).map(|one| context(generation, one) + IMEUAR);
            let micro_tlbs = (0..generation.micro_tlbs()).map(|one| micro_tlb(generation, one) + 8);
            let last = contexts.chain(micro_tlbs).max().unwrap();
            assert!(last + 4 <= generation.registers() as usize);
        }
    }
}
