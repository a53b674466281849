//! Registers of guests that run, that are off, and that do not answer.

use crate::fake::{CPU_OFF, CPU_ON};
use crate::fake::{
    ENTRY, FREQUENCY, Guest, LINUX, Outcome, RT, World, advance, set_room, take_wire, type_in,
};

/// What the console says until the end of the dump, without prefixes; empty when it says nothing of registers.
fn dump(world: &World) -> Vec<String> {
    let mut wire = String::new();
    for _ in 0..60 {
        set_room(usize::MAX);
        world.hypervisor.serve_console();
        wire += &take_wire();
    }
    let lines = wire.split("\r\n");
    let lines = lines.filter_map(|line| line.strip_prefix("[hv] registers "));
    lines.map(str::to_owned).collect()
}

fn ask(world: &World, key: &[u8; 1]) {
    type_in(b"\x1d");
    type_in(key);
    set_room(usize::MAX);
    world.hypervisor.serve_console();
    take_wire();
}

/// It takes the call and goes on where it was.
fn answers(guest: &mut Guest) {
    let before = guest.pc();
    assert_eq!(guest.pending_interrupt(), Outcome::Resumed);
    assert_eq!(guest.pc(), before);
}

#[test]
fn guest_that_runs_shows_all_registers_and_goes_on() {
    let world = World::new();
    let (mut first, mut second) = world.both();
    first.vcpu.context.x = core::array::from_fn(|index| 0xa00 + index as u64);
    first.vcpu.context.pc = 0x4000_1234;
    ask(&world, b"r");
    answers(&mut first);
    answers(&mut second);
    let lines = dump(&world);
    assert!(
        lines[0].starts_with("partition=linux vcpu=0 pc=0x40001234 pstate=0x3c5 sp_el0=0x1000 sp_el1=0x1001 elr_el1=0x1002"),
        "{lines:#?}"
    );
    let said = lines.join("\n");
    for value in [
        "cntp_cval_el0=0x100f x0=0xa00",
        "x29=0xa1d",
        "vcpu=0 x30=0xa1e",
        "partition=linux vcpu=1 pc=",
    ] {
        assert!(said.contains(value), "{value}: {lines:#?}");
    }
    assert!(!said.contains("partition=rt"), "{lines:#?}");
    assert_eq!(lines.last().unwrap(), "end");
    assert!(
        lines
            .iter()
            .all(|line| line.len() + "registers \n".len() < crate::report::Line::LONGEST)
    );
}

#[test]
fn virtual_cpu_that_is_off_says_so_and_one_that_does_not_answer_is_waited_for_and_left_out() {
    let world = World::new();
    let (mut first, mut second) = world.both();
    let _ = second.hvc([CPU_OFF, 0, 0, 0]);
    let mut rt = world.started(RT);
    ask(&world, b"R");
    answers(&mut first);
    let _ = second.wait_again();
    let waiting = dump(&world);
    assert!(
        waiting
            .iter()
            .any(|line| line == "partition=linux vcpu=1 state=off"),
        "{waiting:#?}"
    );
    assert!(
        !waiting.iter().any(|line| line.contains("partition=rt")),
        "{waiting:#?}"
    );
    advance(FREQUENCY / 10);
    assert_eq!(
        dump(&world),
        ["partition=rt vcpu=0 state=waits-for-its-turn", "end"]
    );
    // It is late, and nobody asks any more.
    answers(&mut rt);
    assert_eq!(dump(&world), Vec::<String>::new());
}

#[test]
fn second_request_begins_anew_and_shows_what_is_so_then() {
    let world = World::new();
    let mut rt = world.started(RT);
    type_in(b"\x1d2");
    ask(&world, b"r");
    answers(&mut rt);
    rt.vcpu.context.pc = 0x4000_5678;
    advance(1);
    ask(&world, b"r");
    assert_eq!(dump(&world), Vec::<String>::new());
    answers(&mut rt);
    let lines = dump(&world);
    assert!(
        lines[0].starts_with("partition=rt vcpu=0 pc=0x40005678 "),
        "{lines:#?}"
    );
    assert_eq!(lines.len(), super::LINES + 1);
}

#[test]
fn virtual_cpu_that_is_turned_on_later_answers_as_one_that_runs() {
    let world = World::new();
    let mut first = world.started(LINUX);
    let mut second = world.guest(LINUX, 1);
    assert_eq!(first.hvc([CPU_ON, 1, ENTRY, 7]), Outcome::Resumed);
    assert_eq!(second.bring_up(), Outcome::Resumed);
    ask(&world, b"r");
    answers(&mut first);
    while second.vcpu.shared.has_requests() {
        answers(&mut second);
    }
    let lines = dump(&world);
    assert!(
        lines
            .iter()
            .any(|line| line.starts_with(&format!("partition=linux vcpu=1 pc={ENTRY:#x} "))),
        "{lines:#?}"
    );
}
