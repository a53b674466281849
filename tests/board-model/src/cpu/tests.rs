//! Instructions one by one, with encodings from an assembler.

use super::{Cpu, Identity, Step, SystemRegisters};
use crate::bus::Bus;
use crate::fault::Fault;
use crate::memory::Ram;

const RAM: u64 = 0x4000_0000;

fn machine(code: &[u32]) -> (Cpu, Bus) {
    let bus = Bus::new(Ram::new([(RAM, 0x1_0000)]));
    for (index, word) in code.iter().enumerate() {
        let place = RAM + 4 * index as u64;
        assert!(bus.ram.borrow_mut().write(place, &word.to_le_bytes()));
    }
    let identity = Identity {
        midr: 0x410f_d034,
        affinity: 0x101,
        memory: 0x1122,
        frequency: 1000,
        gic_registers: false,
    };
    (Cpu::new(0, SystemRegisters::new(&identity), RAM, 0), bus)
}

/// Runs `code` with these values in x0, x1, x2, and returns x0.
fn run(code: &[u32], values: [u64; 3]) -> u64 {
    let (mut cpu, mut bus) = machine(code);
    cpu.x[..3].copy_from_slice(&values);
    for _ in code {
        assert_eq!(cpu.step(&mut bus), Ok(Step::Next));
    }
    cpu.x[0]
}

#[test]
fn arithmetic_and_logic_of_registers_are_the_manuals() {
    for (word, values, expected) in [
        (0x8b02_0020, [0, 5, 7], 12),          // add x0, x1, x2
        (0xcb02_1020, [0, 100, 1], 84),        // sub x0, x1, x2, lsl #4
        (0x4b02_0020, [0, 0, 1], 0xffff_ffff), // sub w0, w1, w2
        (0x8a22_0020, [0, 0xff, 0x0f], 0xf0),  // bic x0, x1, x2
        (0x9b02_7c20, [0, 3, 5], 15),          // mul x0, x1, x2
        (0x9bc2_7c20, [0, u64::MAX, 2], 1),    // umulh x0, x1, x2
        (0x9ac2_0820, [0, 17, 5], 3),          // udiv x0, x1, x2
        (0x9ac2_0820, [0, 17, 0], 0),          // udiv x0, x1, x2
        (0xdac0_1020, [0, 0x100, 0], 55),      // clz x0, x1
        (
            0xdac0_0c20,
            [0, 0x0102_0304_0506_0708, 0],
            0x0807_0605_0403_0201,
        ), // rev x0, x1
        (0x5ac0_0020, [0, 1, 0], 0x8000_0000), // rbit w0, w1
    ] {
        assert_eq!(run(&[word], values), expected, "{word:#010x}");
    }
}

#[test]
fn immediates_and_bit_fields_are_the_manuals() {
    for (word, values, expected) in [
        (0x9240_1c20, [0, 0x1234, 0], 0x34), // and x0, x1, #0xff
        (0xb201_e3e0, [0, 0, 0], 0x8888_8888_8888_8888), // orr x0, xzr, #0x8888888888888888
        (0xd344_1c20, [0, 0xabcd, 0], 0xc),  // ubfx x0, x1, #4, #4
        (0xb378_1c20, [0x1111_1111, 0xabcd, 0], 0x1111_cd11), // bfi x0, x1, #8, #8
        (0x9344_1c20, [0, 0xf0, 0], u64::MAX), // sbfx x0, x1, #4, #4
        (0xf2c0_0020, [7, 0, 0], 0x1_0000_0007), // movk x0, #1, lsl #32
        (0x93c2_1020, [0, 0x1, 0x230], 0x1000_0000_0000_0023), // extr x0, x1, x2, #4
        (0x9148_d020, [0, 1, 0], 0x23_4001), // add x0, x1, #0x234, lsl #12
    ] {
        assert_eq!(run(&[word], values), expected, "{word:#010x}");
    }
}

#[test]
fn conditions_follow_the_flags_of_a_comparison() {
    // cmp x1, x2; cset x0, lo
    let below = [0xeb02_003f, 0x9a9f_27e0];
    assert_eq!(run(&below, [9, 1, 2]), 1);
    assert_eq!(run(&below, [9, 2, 2]), 0);
    // cmp x1, x2; csel x0, x1, x2, gt
    let greater = [0xeb02_003f, 0x9a82_c020];
    assert_eq!(run(&greater, [9, u64::MAX, 3]), 3);
    // cmp x1, #1; ccmp x2, #5, #0, eq; cset x0, eq
    let both = [0xf100_043f, 0xfa45_0840, 0x9a9f_17e0];
    assert_eq!(run(&both, [9, 1, 5]), 1);
    assert_eq!(run(&both, [9, 2, 5]), 0);
}

#[test]
fn memory_is_read_and_written_with_every_way_of_addressing() {
    let place = RAM + 0x8000;
    // str x1, [x2], #8; ldr w0, [x2, #-4]!
    assert_eq!(
        run(
            &[0xf800_8441, 0xb85f_cc40],
            [0, 0x1122_3344_5566_7788, place]
        ),
        0x1122_3344
    );
    // strb w1, [x2, #3]; ldrsb x0, [x2, #3]
    assert_eq!(
        run(&[0x3900_0c41, 0x3980_0c40], [0, 0x80, place]),
        0xffff_ffff_ffff_ff80
    );
    // stp x1, x2, [x2, #16]; ldp x1, x0, [x2, #16]
    assert_eq!(run(&[0xa901_0841, 0xa941_0041], [0, 5, place]), place);
}

#[test]
fn exclusive_store_fails_once_another_cpu_has_run() {
    // ldxr x0, [x2]; stxr w0, x1, [x2]
    let code = [0xc85f_7c40, 0xc800_7c41];
    assert_eq!(run(&code, [9, 1, RAM + 0x8000]), 0);
    let (mut cpu, mut bus) = machine(&code);
    cpu.x[2] = RAM + 0x8000;
    cpu.step(&mut bus).unwrap();
    cpu.interrupt();
    cpu.step(&mut bus).unwrap();
    assert_eq!(cpu.x[0], 1);
}

#[test]
fn floating_point_and_registers_of_another_interrupt_controller_are_faults() {
    // fmov d0, x0
    let (mut cpu, mut bus) = machine(&[0x9e67_0000]);
    assert_eq!(cpu.step(&mut bus), Err(Fault::Instruction(0x9e67_0000)));
    // mrs x0, icc_iar1_el1
    let (mut cpu, mut bus) = machine(&[0xd538_cc00]);
    assert!(matches!(cpu.step(&mut bus), Err(Fault::Register(_))));
    assert_eq!(cpu.pc, RAM);
}

#[test]
fn access_that_is_not_aligned_is_a_fault_while_the_mmu_is_off() {
    // ldr x0, [x2]
    let (mut cpu, mut bus) = machine(&[0xf940_0040]);
    cpu.x[2] = RAM + 0x8001;
    assert!(matches!(cpu.step(&mut bus), Err(Fault::Translation { .. })));
}

#[test]
fn system_register_that_nobody_wrote_cannot_be_read() {
    // mrs x0, vbar_el2
    let (mut cpu, mut bus) = machine(&[0xd53c_c000]);
    let fault = cpu.step(&mut bus).unwrap_err().to_string();
    assert!(fault.contains("VBAR_EL2"), "{fault}");
}
