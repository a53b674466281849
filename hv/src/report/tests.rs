//! A report line by line, and on a console that is nearly full.

use super::*;
use crate::console::Ring;
use crate::fake::{Done, FakeCpu, LINUX, RT, World, set_room, take_done, take_wire, type_in};
use crate::machine::{Cpu, Machine};
use model::device::Width;

/// All lines, joined.
fn report(world: World) -> String {
    let mut text = String::new();
    let mut next = Some(Cursor::START);
    while let Some(cursor) = next {
        let (line, after) = cursor.line(world.hypervisor);
        text += core::str::from_utf8(line.bytes()).unwrap();
        next = after;
    }
    text
}

#[test]
fn partitions_that_never_ran_have_a_line_each_and_one_for_each_virtual_cpu() {
    assert_eq!(
        report(World::new()),
        "report partition name=linux state=loading restarts=0 faults=0\n\
         report turns partition=linux vcpu=0 pcpu=0 entries=0\n\
         report turns partition=linux vcpu=1 pcpu=1 entries=0\n\
         report partition name=rt state=loading restarts=0 faults=0\n\
         report turns partition=rt vcpu=0 pcpu=2 entries=0\n\
         report end\n"
    );
}

#[test]
fn kinds_that_occurred_have_a_line_behind_their_partition() {
    let world = World::new();
    let rt = world.partition(RT);
    rt.vcpus[0].count(ExitKind::Mmio, 30);
    rt.vcpus[0].count(ExitKind::Mmio, 10);
    world.partition(LINUX).count_fault();
    assert_eq!(
        report(world),
        "report partition name=linux state=loading restarts=0 faults=1\n\
         report turns partition=linux vcpu=0 pcpu=0 entries=0\n\
         report turns partition=linux vcpu=1 pcpu=1 entries=0\n\
         report partition name=rt state=loading restarts=0 faults=0\n\
         report exits partition=rt kind=mmio count=2 short=0 total=40 p50=11 p999=30 max=30\n\
         report turns partition=rt vcpu=0 pcpu=2 entries=0\n\
         report end\n"
    );
}

#[test]
fn access_to_a_register_that_is_not_there_is_counted_and_reported() {
    let world = World::new();
    let mut guest = world.guest(LINUX, 0);
    guest.bring_up();
    // A byte of `GICD_CTLR`, and an offset without a register.
    guest.store(0x0800_0000, Width::Byte, 1);
    guest.load(0x0800_0000 + 0xf000, Width::Word);
    assert!(report(world).contains("\nreport refused partition=linux registers=2\n"));
    assert_eq!(world.partition(LINUX).faults(), 0);
}

#[test]
fn longest_line_that_can_occur_fits() {
    let world = World::with(|linux| linux.name = "fifteen-letters");
    let partition = world.partition(LINUX);
    partition.vcpus[0].count(ExitKind::SystemRegister, u64::MAX);
    let longest = report(world).lines().map(str::len).max().unwrap();
    // The two counts have up to 20 digits rather than the one that these have.
    assert!(longest + 38 < Line::LONGEST, "{longest}");
}

#[test]
fn line_that_is_too_long_is_cut_off() {
    let mut line = Line::default();
    line.put(format_args!("{}", "x".repeat(Line::LONGEST)));
    line.put(format_args!("y"));
    assert_eq!(line.bytes(), [b'x'; Line::LONGEST]);
}

#[test]
fn look_at_the_console_says_one_line_of_a_report_and_rings_for_the_next() {
    let world = World::new();
    set_room(0);
    type_in(b"\x1ds");
    for line in [
        "report partition name=linux state=loading restarts=0 faults=0\n",
        "report turns partition=linux vcpu=0 pcpu=0 entries=0\n",
    ] {
        let console = world.hypervisor.machine.console();
        let before = console.room();
        FakeCpu::clear_alarm();
        take_done();
        world.hypervisor.serve_console();
        // The UART's side may hold one byte that it could not send yet.
        assert!((line.len() - 1..=line.len()).contains(&(before - console.room())));
        assert!(take_done().contains(&Done::Alarm(world.hypervisor.now())));
    }
}

#[test]
fn report_on_a_nearly_full_console_goes_on_whenever_there_is_room_and_loses_no_line() {
    // Arrange: hardly room for the first lines.
    let world = World::new();
    for kind in ExitKind::ALL {
        world.partition(LINUX).vcpus[0].count(kind, 5);
    }
    let expected = report(world);
    let console = world.hypervisor.machine.console();
    set_room(0);
    let filler = format!("{}\n", "x".repeat(99));
    while console.room() > Line::LONGEST + 100 {
        assert!(console.say(filler.as_bytes()));
    }
    // Act: a person asks, and the wire takes a little at a time.
    type_in(b"\x1ds");
    let mut out = String::new();
    for _ in 0..500 {
        set_room(20);
        world.hypervisor.serve_console();
        out += &take_wire();
    }
    // Assert.
    let lines: String = out
        .split("\r\n")
        .filter_map(|line| line.strip_prefix("[hv] "))
        .filter(|line| line.starts_with("report"))
        .map(|line| format!("{line}\n"))
        .collect();
    assert_eq!(lines, expected);
    assert_eq!(console.room(), Ring::new().free());
}
