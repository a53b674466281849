//! What a person types and sees, and input that several pCPUs hand over at once.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;

use model::device::Width;

use super::*;
use crate::fake::{
    Done, Guest, LINUX, PATIENCE, RT, UART, World, advance, set_room, take_done, take_wire, type_in,
};

const DATA: u64 = UART;
const LINE_CONTROL: u64 = UART + 0x2c;

/// A partition with its FIFOs on.
fn reader(world: World, partition: usize) -> Guest {
    let mut guest = world.started(partition);
    guest.store(LINE_CONTROL, Width::Word, 1 << 4);
    guest
}

fn read(guest: &mut Guest, count: usize) -> String {
    let bytes = (0..count).map(|_| guest.load(DATA, Width::Word) as u8);
    String::from_utf8(bytes.collect()).unwrap()
}

#[test]
fn typed_text_goes_to_the_first_partition_until_the_focus_moves() {
    let world = World::new();
    let (mut linux, mut rt) = (reader(world, LINUX), reader(world, RT));
    type_in(b"ab\x1d2cd\x1dne");
    world.hypervisor.serve_console();
    assert_eq!(read(&mut linux, 3), "abe");
    assert_eq!(read(&mut rt, 2), "cd");
}

#[test]
fn change_of_focus_is_told_in_a_line() {
    let world = World::new();
    type_in(b"\x1d2");
    world.hypervisor.serve_console();
    assert_eq!(take_wire(), "[hv] input goes to rt\r\n");
}

#[test]
fn focus_that_moves_lets_unfinished_text_of_the_new_partition_out_at_once() {
    let world = World::new();
    let mut rt = world.started(RT);
    type_in(b"\x1d2");
    world.hypervisor.serve_console();
    take_wire();
    rt.store(DATA, Width::Byte, b'$'.into());
    assert_eq!(take_wire(), "[rt] $");
}

#[test]
fn partition_that_does_not_read_holds_up_only_its_own_input() {
    let world = World::new();
    let mut rt = reader(world, RT);
    for _ in 0..20 {
        type_in(&[b'x'; 32]);
        world.hypervisor.serve_console();
    }
    type_in(b"\x1d2hello");
    world.hypervisor.serve_console();
    assert_eq!(read(&mut rt, 5), "hello");
}

#[test]
fn typed_text_beyond_the_queue_is_lost_at_its_end_and_what_is_kept_stays_in_order() {
    let world = World::new();
    let mut linux = reader(world, LINUX);
    let text: Vec<u8> = (0..1000).map(|n| b'a' + (n % 26) as u8).collect();
    for piece in text.chunks(RECEIVED_AT_ONCE) {
        type_in(piece);
        world.hypervisor.serve_console();
    }
    let kept = 16 + TYPED;
    assert_eq!(read(&mut linux, kept).as_bytes(), &text[..kept]);
    assert!(
        !world
            .hypervisor
            .machine
            .console()
            .has_input(model::PartitionId::new(0))
    );
}

#[test]
fn typed_byte_kicks_the_cpu_that_takes_the_uart_interrupt() {
    let world = World::new();
    let mut linux = reader(world, LINUX);
    linux.store(crate::fake::DISTRIBUTOR, Width::Word, 1 << 1);
    linux.store(crate::fake::DISTRIBUTOR + 0x104, Width::Word, 1 << 1);
    // UARTIMSC: receive timeout.
    linux.store(UART + 0x38, Width::Word, 1 << 6);
    take_done();
    type_in(b"x");
    world.hypervisor.serve_console();
    assert_eq!(take_done(), [Done::Kick(crate::fake::PCPUS[0])]);
}

#[test]
fn guest_that_fills_its_ring_is_woken_when_there_is_room_again() {
    let world = World::new();
    let mut linux = reader(world, LINUX);
    set_room(0);
    while linux.load(UART + 0x18, Width::Word) & (1 << 5) == 0 {
        linux.store(DATA, Width::Byte, b'x'.into());
    }
    let waits = || linux.vcpu.partition.waits_for_room.load(Ordering::Relaxed);
    assert!(waits());
    set_room(usize::MAX);
    world.hypervisor.serve_console();
    assert!(!waits());
}

#[test]
fn unfinished_line_that_is_silent_sets_the_alarm_for_another_one() {
    let world = World::new();
    let mut linux = world.started(LINUX);
    let mut rt = world.started(RT);
    linux.store(DATA, Width::Byte, b'#'.into());
    advance(PATIENCE / 16);
    rt.store(DATA, Width::Byte, b'?'.into());
    assert_eq!(take_wire(), "[linux] #");
    let at = 1000 + PATIENCE / 16 + PATIENCE;
    assert_eq!(take_done(), [Done::Alarm(at)]);
}

// Input that is offered on several pCPUs.

/// A console for one partition and the hypervisor.
fn terminal() -> Terminal<Wire, 2> {
    let rings = Box::leak(Box::new([const { Ring::new() }; 2]));
    let readers = [PartitionId::new(0)].into_iter();
    Terminal::new(
        Wire::default(),
        ["linux", "hv"],
        rings,
        readers,
        PATIENCE,
        || false,
    )
}

/// A UART that several threads share.
#[derive(Default)]
struct Wire(VecDeque<u8>);

impl SerialPort for Wire {
    fn try_write(&mut self, _byte: u8) -> bool {
        true
    }
    fn try_read(&mut self) -> Option<u8> {
        self.0.pop_front()
    }
    fn interrupt_on_room(&mut self, _on: bool) {}
    fn acknowledge(&mut self) {}
}

const READER: PartitionId = PartitionId::new(0);

fn type_at(terminal: &Terminal<Wire, 2>, text: &[u8]) {
    terminal.state.lock().port.0.extend(text);
    terminal.serve(0);
}

#[test]
fn byte_that_is_refused_is_offered_again_first() {
    let terminal = terminal();
    type_at(&terminal, b"abc");
    let mut offered = Vec::new();
    terminal.offer_input(READER, &mut |byte| {
        offered.push(byte);
        byte == b'a'
    });
    terminal.offer_input(READER, &mut |byte| {
        offered.push(byte);
        true
    });
    assert_eq!(offered, b"abbc");
}

#[test]
fn byte_that_is_typed_while_a_full_queue_is_offered_pushes_none_out() {
    let terminal = terminal();
    for _ in 0..TYPED / RECEIVED_AT_ONCE {
        type_at(&terminal, &[b'x'; RECEIVED_AT_ONCE]);
    }
    terminal.offer_input(READER, &mut |_| {
        type_at(&terminal, b"y");
        false
    });
    let mut taken = 0;
    terminal.offer_input(READER, &mut |byte| {
        taken += usize::from(byte == b'x');
        true
    });
    assert_eq!(taken, TYPED);
}

#[test]
fn offer_during_an_offer_does_nothing_itself_and_makes_the_first_look_again() {
    let terminal = terminal();
    type_at(&terminal, b"ab");
    let mut refused = false;
    let mut taken = Vec::new();
    let gave_up = terminal.offer_input(READER, &mut |byte| {
        if core::mem::replace(&mut refused, true) {
            taken.push(byte);
            return true;
        }
        // The FIFO is full; the guest reads on another pCPU before the first caller is done.
        let nested = terminal.offer_input(READER, &mut |_| panic!("two at once"));
        assert!(!nested);
        false
    });
    assert!(!gave_up);
    assert_eq!(taken, b"ab");
}

#[test]
fn offers_that_never_cease_are_given_up_after_a_few_looks_and_reported() {
    let terminal = terminal();
    type_at(&terminal, b"a");
    let mut looks = 0;
    let gave_up = terminal.offer_input(READER, &mut |_| {
        looks += 1;
        terminal.offer_input(READER, &mut |_| true);
        false
    });
    assert!(gave_up);
    assert_eq!(looks, LOOKS);
    // The next caller works again.
    let mut taken = 0;
    terminal.offer_input(READER, &mut |_| {
        taken += 1;
        true
    });
    assert_eq!(taken, 1);
}

#[test]
fn bytes_handed_over_by_two_cpus_at_once_all_arrive_in_order() {
    const BYTES: usize = 600;
    let terminal = terminal();
    // A FIFO of 16 entries, and what the guest has read.
    let fifo = Mutex::new(VecDeque::new());
    let read = Mutex::new(Vec::new());
    let seen = AtomicUsize::new(0);
    let offer = || {
        terminal.offer_input(READER, &mut |byte| {
            let mut fifo = fifo.lock().unwrap();
            let fits = fifo.len() < 16;
            if fits {
                fifo.push_back(byte);
            }
            fits
        })
    };
    std::thread::scope(|scope| {
        // The pCPU of the console: a person who types no faster than the guest reads.
        scope.spawn(|| {
            for n in 0..BYTES {
                while n > seen.load(Ordering::Relaxed) + 200 {
                    std::thread::yield_now();
                }
                type_at(&terminal, &[(n % 251) as u8 | 0x80]);
                while offer() {}
            }
        });
        // The guest's: it asks for more only when it has read something, and else waits for its interrupt.
        scope.spawn(|| {
            while seen.load(Ordering::Relaxed) < BYTES {
                let byte = fifo.lock().unwrap().pop_front();
                let Some(byte) = byte else {
                    std::thread::yield_now();
                    continue;
                };
                read.lock().unwrap().push(byte);
                seen.fetch_add(1, Ordering::Relaxed);
                if terminal.has_input(READER) {
                    while offer() {}
                }
            }
        });
    });
    let expected: Vec<u8> = (0..BYTES).map(|n| (n % 251) as u8 | 0x80).collect();
    assert_eq!(*read.lock().unwrap(), expected);
}
