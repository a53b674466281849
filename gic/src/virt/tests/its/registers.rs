//! What the registers of the ITS and of the redistributors show and keep.

use super::*;

#[test]
fn distributor_and_redistributor_announce_lpis_only_with_an_its() {
    let mut plain = Machine::new(Version::V3, 1);
    let mut bench = Bench::new(1);
    let typer = |machine: &mut Machine| machine.get(0, 4);
    let frame = Frame::Redistributor(VcpuId::new(0));

    assert_eq!(typer(&mut plain) >> 19 & 0x1f, 9);
    assert_eq!(typer(&mut plain) >> 17 & 1, 0);
    assert_eq!(plain.read(0, frame, 8, Width::Double).unwrap() & 1, 0);

    assert_eq!(typer(&mut bench.machine) >> 19 & 0x1f, 13);
    assert_eq!(typer(&mut bench.machine) >> 17 & 1, 1);
    assert_eq!(typer(&mut bench.machine) >> 11 & 0x1f, 7, "2^(7+1) LPIs");
    assert_eq!(
        bench.machine.read(0, frame, 8, Width::Double).unwrap() & 1,
        1
    );
}

#[test]
fn lpi_registers_of_a_redistributor_without_its_are_zero_and_ignore_writes() {
    let mut plain = Machine::new(Version::V3, 1);
    let frame = Frame::Redistributor(VcpuId::new(0));
    for offset in [0, 0x70, 0x78] {
        plain.write(0, frame, offset, Width::Word, u64::MAX);
        assert_eq!(
            plain.read(0, frame, offset, Width::Word),
            Some(0),
            "{offset:#x}"
        );
    }
}

#[test]
fn tables_are_kept_while_lpis_are_disabled_and_fixed_while_they_are_enabled() {
    let mut bench = Bench::new(2);
    let frame = Frame::Redistributor(VcpuId::new(1));
    bench.gicr(1, 0x70, Width::Double, u64::MAX);
    bench.gicr(1, 0x78, Width::Double, u64::MAX);
    bench.gicr(1, 0, Width::Word, 1);
    bench.gicr(1, 0x70, Width::Double, 0);

    let read = |bench: &mut Bench, offset| bench.machine.read(1, frame, offset, Width::Double);
    assert_eq!(read(&mut bench, 0x70), Some(0x070f_ffff_ffff_ff9f));
    assert_eq!(read(&mut bench, 0x78), Some(0x070f_ffff_ffff_0f80));
    assert_eq!(bench.machine.read(1, frame, 0, Width::Word), Some(1));
    assert_eq!(
        bench.machine.read(1, frame, 0x74, Width::Word),
        Some(0x070f_ffff)
    );
}

#[test]
fn its_says_what_it_has() {
    let bench = Bench::new(2);
    let typer = bench.read(8);
    assert_eq!(typer & 1, 1, "physical LPIs");
    assert_eq!(typer >> 8 & 0x1f, 5, "6 bits of EventID");
    assert_eq!(typer >> 13 & 0x1f, 5, "6 bits of DeviceID, as 0x2f needs");
    assert_eq!(typer >> 19 & 1, 0, "targets are processor numbers");
    assert_eq!(typer >> 24 & 0xff, 16, "collections are held here");
    let word = |offset| bench.machine.vgic.read_its(offset, Width::Word);
    assert_eq!(word(0xffe8), Access::Done(0x3b), "PIDR2: GICv3");
    assert_eq!(word(0), Access::Done(1 << 31), "quiescent");
}

#[test]
fn halves_of_wide_registers_are_written_apart() {
    let mut bench = Bench::new(1);
    let vgic = &mut bench.machine.vgic;
    vgic.write_its(0x80, Width::Word, 0x4000_0001);
    vgic.write_its(0x84, Width::Word, 0x8000_0000);
    assert_eq!(bench.read(0x80), 1 << 63 | 0x4000_0001);
}

#[test]
fn accesses_that_no_register_has_are_unknown() {
    let mut bench = Bench::new(1);
    let vgic = &mut bench.machine.vgic;
    for (offset, width) in [
        (0, Width::Byte),
        (0x80, Width::Half),
        (0, Width::Double),
        (0x84, Width::Double),
        (0x40, Width::Word),
        (0x2_0000, Width::Word),
        (u32::MAX, Width::Word),
    ] {
        assert_eq!(vgic.read_its(offset, width), Access::Unknown, "{offset:#x}");
        assert_eq!(vgic.write_its(offset, width, 1), Access::Unknown);
    }
    assert_eq!(vgic.write_its(0x1_0040, Width::Word, 5), Access::Done(()));
}

#[test]
fn queue_and_table_cannot_be_moved_while_the_its_is_enabled() {
    let mut bench = Bench::ready(1);
    let before = (bench.read(0x80), bench.read(0x100));
    bench.write(0x80, 0);
    bench.write(0x100, u64::MAX);
    assert_eq!((bench.read(0x80), bench.read(0x100)), before);
}

#[test]
fn place_past_the_queue_is_not_taken() {
    let mut bench = Bench::ready(1);
    let before = bench.read(0x88);
    bench.write(0x88, 0x1000);
    assert_eq!(bench.read(0x88), before);
    assert!(!bench.machine.vgic.has_commands());
}
