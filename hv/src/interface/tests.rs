//! A guest with a GICv2 CPU interface in software, seen from the outside.

use gic::virt::Lines;
use model::Ipa;
use model::device::{VirtualGic, Width};

use crate::exit::ExitKind;
use crate::fake::{
    CPU_OFF, CPU_ON, DISTRIBUTOR, Done, ENTRY, Guest, LINUX, OWNED_SPI, Outcome, REDISTRIBUTORS,
    SYSTEM_RESET, VIRTUAL_TIMER, World, lines, list_registers, take_done,
};

/// Where a guest on a GICv3 board finds it.
const GICC: u64 = REDISTRIBUTORS;
const CTLR: u64 = GICC;
const PMR: u64 = GICC + 0x04;
const IAR: u64 = GICC + 0x0c;
const EOIR: u64 = GICC + 0x10;
const RPR: u64 = GICC + 0x14;
const DIR: u64 = GICC + 0x1000;

const IRQ: Lines = Lines {
    irq: true,
    fiq: false,
};
const NONE: Lines = Lines {
    irq: false,
    fiq: false,
};

fn world() -> World {
    World::with(|linux| {
        linux.gic = VirtualGic::V2 {
            distributor: Ipa::new(DISTRIBUTOR),
            cpu_interface: Ipa::new(GICC),
            emulated: true,
        };
    })
}

/// Everything on: distributor and interface of a virtual CPU, its private interrupts, the SPI that the partition owns, sent to CPU 0.
fn open(guest: &mut Guest) {
    let spi = u64::from(OWNED_SPI);
    let words = [
        (DISTRIBUTOR, 1),
        (DISTRIBUTOR + 0x100, u64::from(u32::MAX)),
        (DISTRIBUTOR + 0x100 + spi / 32 * 4, 1 << (spi % 32)),
        (CTLR, 1),
        (PMR, 0xf8),
    ];
    for (address, value) in words {
        assert_eq!(guest.store(address, Width::Word, value), Outcome::Resumed);
    }
    guest.store(DISTRIBUTOR + 0x800 + spi, Width::Byte, 1);
    take_done();
}

fn linux() -> Guest {
    let mut guest = world().started(LINUX);
    open(&mut guest);
    guest
}

/// SGI `sgi` by `GICD_SGIR` to the virtual CPUs in `targets`.
fn send(guest: &mut Guest, targets: u64, sgi: u64) {
    guest.store(DISTRIBUTOR + 0xf00, Width::Word, targets << 16 | sgi);
}

#[test]
fn virtual_cpu_starts_with_the_hardwares_interface_withheld_and_nothing_signalled() {
    let mut guest = world().guest(LINUX, 0);
    guest.bring_up();
    let done = take_done();
    let reset = done
        .iter()
        .rposition(|one| *one == Done::ResetVirtualInterface);
    let withheld = done
        .iter()
        .rposition(|one| *one == Done::WithholdVirtualInterface);
    assert!(reset.is_some() && reset < withheld, "{done:?}");
    assert_eq!(lines(guest.pcpu), NONE);
}

#[test]
fn timer_is_signalled_acknowledged_and_ended_without_a_hardware_list_register() {
    let mut guest = linux();
    guest.interrupt(VIRTUAL_TIMER);
    assert_eq!(
        (lines(guest.pcpu), list_registers(guest.pcpu)),
        (IRQ, vec![])
    );
    assert_eq!(guest.load(IAR, Width::Word), VIRTUAL_TIMER.into());
    assert_eq!(lines(guest.pcpu), NONE);
    take_done();
    guest.store(EOIR, Width::Word, VIRTUAL_TIMER.into());
    assert_eq!(take_done(), [Done::DeactivatePhysical(VIRTUAL_TIMER)]);
}

#[test]
fn split_end_deactivates_the_owned_interrupt_by_dir() {
    let mut guest = linux();
    guest.store(CTLR, Width::Word, 1 << 9 | 1);
    guest.interrupt(OWNED_SPI);
    assert_eq!(guest.load(IAR, Width::Word), OWNED_SPI.into());
    take_done();
    guest.store(EOIR, Width::Word, OWNED_SPI.into());
    assert_eq!(take_done(), []);
    guest.store(DIR, Width::Word, OWNED_SPI.into());
    assert_eq!(take_done(), [Done::DeactivatePhysical(OWNED_SPI)]);
}

#[test]
fn line_follows_the_mask_and_the_group_enables() {
    let mut guest = linux();
    guest.interrupt(OWNED_SPI);
    for (register, off, on) in [(PMR, 0, 0xf8), (CTLR, 0, 1)] {
        guest.store(register, Width::Word, off);
        assert_eq!(lines(guest.pcpu), NONE);
        guest.store(register, Width::Word, on);
        assert_eq!(lines(guest.pcpu), IRQ);
    }
}

#[test]
fn sgi_to_oneself_shows_its_source() {
    let mut guest = linux();
    send(&mut guest, 1, 3);
    assert_eq!(lines(guest.pcpu), IRQ);
    assert_eq!(guest.load(IAR, Width::Word), 3);
}

#[test]
fn sgis_from_two_cpus_come_as_two_with_their_sources() {
    let (mut first, mut second) = world().both();
    open(&mut first);
    open(&mut second);
    send(&mut second, 1, 5);
    send(&mut first, 1, 5);
    while first.pending_interrupt() == Outcome::Resumed && lines(first.pcpu) == NONE {}
    let mut got = Vec::new();
    for _ in 0..2 {
        let taken = first.load(IAR, Width::Word);
        got.push(taken);
        first.store(EOIR, Width::Word, taken);
    }
    got.sort_unstable();
    assert_eq!(got, [5, 1 << 10 | 5]);
    assert_eq!(first.load(IAR, Width::Word), 1023);
}

#[test]
fn more_interrupts_than_list_registers_all_come() {
    let mut guest = linux();
    let privates = u64::from(u32::MAX) & !(1 << VIRTUAL_TIMER | 0xffff);
    guest.store(DISTRIBUTOR + 0x200, Width::Word, privates);
    (0..16).for_each(|sgi| send(&mut guest, 1, sgi));
    let mut seen = 0_u64;
    while lines(guest.pcpu) == IRQ {
        let taken = guest.load(IAR, Width::Word);
        assert_eq!(seen >> taken & 1, 0, "{taken} came twice");
        seen |= 1 << taken;
        guest.store(EOIR, Width::Word, taken);
        // Pending by a register write until that is undone.
        guest.store(DISTRIBUTOR + 0x280, Width::Word, 1 << taken);
    }
    assert_eq!(seen, privates | 0xffff);
}

#[test]
fn interrupt_made_active_by_a_register_write_is_ended_by_the_interface() {
    let mut guest = linux();
    guest.store(DISTRIBUTOR + 0x300, Width::Word, 1 << 20);
    assert_eq!(guest.load(DISTRIBUTOR + 0x300, Width::Word), 1 << 20);
    guest.store(EOIR, Width::Word, 20);
    assert_eq!(guest.load(DISTRIBUTOR + 0x300, Width::Word), 0);
}

#[test]
fn virtual_cpu_comes_back_on_with_a_reset_interface() {
    let (mut first, mut second) = world().both();
    open(&mut second);
    second.interrupt(VIRTUAL_TIMER);
    second.load(IAR, Width::Word);
    assert_eq!(second.hvc([CPU_OFF, 0, 0, 0]), Outcome::Waiting);
    first.hvc([CPU_ON, 1, ENTRY, 0]);
    assert_eq!(second.bring_up(), Outcome::Resumed);
    assert_eq!(second.load(PMR, Width::Word), 0);
    assert_eq!(second.load(RPR, Width::Word), 0xff);
}

#[test]
fn restarted_partition_starts_with_a_reset_interface_and_no_line() {
    let mut guest = linux();
    guest.interrupt(OWNED_SPI);
    assert_eq!(lines(guest.pcpu), IRQ);
    assert_eq!(guest.hvc([SYSTEM_RESET, 0, 0, 0]), Outcome::Resumed);
    assert_eq!(lines(guest.pcpu), NONE);
    assert_eq!(guest.load(CTLR, Width::Word), 0);
}

#[test]
fn access_past_the_interface_or_across_its_registers_is_a_fault() {
    let mut guest = linux();
    for address in [GICC + 0x2000, GICC + 2] {
        guest.store(address, Width::Word, 0);
        let faulted = take_done()
            .iter()
            .any(|done| matches!(done, Done::Exception { .. }));
        assert!(faulted, "{address:#x}");
    }
}

#[test]
fn unknown_register_reads_zero_and_is_counted_as_an_access() {
    let mut guest = linux();
    let before = guest.vcpu.partition.cost(ExitKind::Mmio).count();
    assert_eq!(guest.load(GICC + 0x40, Width::Word), 0);
    assert_eq!(guest.load(IAR, Width::Byte), 0);
    let after = guest.vcpu.partition.cost(ExitKind::Mmio).count();
    assert_eq!(after - before, 2);
}

#[test]
fn system_registers_of_a_gicv3_are_undefined() {
    let mut guest = linux();
    // ICC_IAR1_EL1, ICC_SRE_EL1, ICC_SGI1R_EL1.
    for (register, write) in [
        ([3, 0, 12, 12, 0], false),
        ([3, 0, 12, 12, 5], false),
        ([3, 0, 12, 11, 5], true),
    ] {
        guest.system_register(register, write);
        let undefined = take_done()
            .iter()
            .any(|done| matches!(done, Done::Exception { esr, .. } if esr >> 26 == 0));
        assert!(undefined, "{register:?}");
    }
}
