//! Accesses to a partition's ITS, and LPIs on their way to it.

use gic::its_command::Command;
use gic::virt::its::Change;
use model::device::Width;
use model::its::DeviceIds;

use super::*;
use crate::fake::{
    Done, Guest, HYPERVISOR_TIMER, LINUX, Outcome, PCPUS, RAM, REDISTRIBUTORS, RT, SYSTEM_RESET,
    World, list_registers, pend, put, take_done,
};
use crate::pool::fixture::{decide, first_turn_with};
use crate::report::Cursor;

const ITS: u64 = 0x0808_0000;
/// The queue, a page of the partition's second piece of memory, and where that lies.
const QUEUE: u64 = RAM + 0x9_0000;
const QUEUE_LIES: u64 = 0xc001_0000;
const PROPERTIES: u64 = RAM + 0x1_0000;
const PROPERTIES_LIE: u64 = 0x8001_0000;
const DEVICE: u32 = 8;
/// The physical LPI behind the partition's first one.
const PHYSICAL: u32 = 8192 + 256;

static CONFIG: VirtualIts = VirtualIts {
    base: Ipa::new(ITS),
    devices: &[DeviceIds {
        first: DEVICE,
        count: 1,
    }],
    share: 1,
};

fn world() -> World {
    World::with(|linux| linux.its = Some(CONFIG))
}

/// The guest has its queue, its table, and LPIs enabled on its first CPU.
fn ready(guest: &mut Guest) {
    guest.store(0x0800_0000, Width::Word, 2);
    guest.store(REDISTRIBUTORS + 0x70, Width::Double, PROPERTIES | 13);
    guest.store(REDISTRIBUTORS, Width::Word, 1);
    guest.store(ITS + 0x80, Width::Double, 1 << 63 | QUEUE);
    guest.store(ITS, Width::Word, 1);
    put(PROPERTIES_LIE, 0x81);
}

fn commands(guest: &mut Guest, commands: &[Command]) -> Outcome {
    for (index, command) in commands.iter().enumerate() {
        for (word, value) in command.encode().into_iter().enumerate() {
            put(QUEUE_LIES + index as u64 * 32 + word as u64 * 8, value);
        }
    }
    guest.store(ITS + 0x88, Width::Double, commands.len() as u64 * 32)
}

const MAP: [Command; 3] = [
    Command::Mapc {
        collection: 0,
        target: 0,
        valid: true,
    },
    Command::Mapd {
        device: DEVICE,
        bits: 1,
        table: 0,
        valid: true,
    },
    Command::Mapti {
        device: DEVICE,
        event: 0,
        intid: 8192,
        collection: 0,
    },
];

#[test]
fn commands_in_the_partitions_memory_reach_the_physical_its_with_its_own_numbers() {
    let mut guest = world().started(LINUX);
    ready(&mut guest);
    take_done();

    commands(&mut guest, &MAP);

    let translated: Vec<_> = take_done()
        .into_iter()
        .filter_map(|done| match done {
            Done::Translate(change, cpu) => Some((change, cpu)),
            _ => None,
        })
        .collect();
    let collect = Change::Collect {
        collection: 16,
        cpu: VcpuId::new(0),
    };
    let map = Change::Map {
        device: DEVICE,
        event: 0,
        lpi: IntId::new(PHYSICAL),
        collection: 16,
    };
    assert_eq!(translated[0], (collect, PCPUS[0]));
    assert_eq!(translated[2], (map, PCPUS[0]));
    assert_eq!(guest.load(ITS + 0x90, Width::Double), 96);
}

#[test]
fn physical_lpi_becomes_the_guests_and_is_not_deactivated() {
    let mut guest = world().started(LINUX);
    ready(&mut guest);
    commands(&mut guest, &MAP);
    take_done();

    guest.interrupt(PHYSICAL);

    let held: Vec<_> = list_registers(0)
        .iter()
        .map(|register| (register.virtual_id.get(), register.hardware))
        .collect();
    assert_eq!(held, [(8192, None)]);
    let done = take_done();
    assert!(done.contains(&Done::DropPriority(PHYSICAL)));
    assert!(!done.contains(&Done::Deactivate(PHYSICAL)));
}

#[test]
fn lpi_of_nobody_or_without_an_event_is_dropped() {
    let mut guest = world().started(LINUX);
    ready(&mut guest);
    for lpi in [PHYSICAL, 8192, 0xff_0000] {
        assert_eq!(guest.interrupt(lpi), Outcome::Resumed);
    }
    assert_eq!(list_registers(0), []);
}

/// Neither one that is pending at the reset, nor one that the device, which knows of no reset, still sends.
#[test]
fn event_of_the_run_before_reaches_no_guest_that_has_not_mapped_it_anew() {
    let mut guest = World::with_both(|linux, rt| {
        linux.its = Some(CONFIG);
        linux.vcpus = rt.vcpus;
    })
    .started(LINUX);
    ready(&mut guest);
    commands(&mut guest, &MAP);
    guest.interrupt(PHYSICAL);
    assert_eq!(list_registers(guest.pcpu).len(), 1);
    take_done();

    assert_eq!(guest.hvc([SYSTEM_RESET, 0, 0, 0]), Outcome::Resumed);

    let discarded = take_done().into_iter().any(|done| {
        matches!(done, Done::Translate(Change::Discard { device, event, .. }, _) if (device, event) == (DEVICE, 0))
    });
    assert!(discarded, "the physical ITS still translates it");
    assert_eq!(list_registers(guest.pcpu), []);
    ready(&mut guest);
    assert_eq!(guest.interrupt(PHYSICAL), Outcome::Resumed);
    assert_eq!(list_registers(guest.pcpu), []);
}

#[test]
fn lpi_that_comes_to_the_cpu_of_another_partition_reaches_its_owner() {
    let world = world();
    let mut guest = world.started(LINUX);
    ready(&mut guest);
    commands(&mut guest, &MAP);
    let mut other = world.guest(RT, 0);
    other.bring_up();
    take_done();

    other.interrupt(PHYSICAL);

    assert!(take_done().contains(&Done::Kick(PCPUS[0])));
    guest.pending_interrupt();
    assert_eq!(list_registers(0).len(), 1);
}

#[test]
fn commands_that_are_left_go_on_in_an_exit_that_comes_by_itself() {
    let mut guest = world().started(LINUX);
    ready(&mut guest);
    take_done();
    let place = 20 * 32;

    commands(&mut guest, &[Command::Sync { target: 0 }; 20]);

    assert!(take_done().contains(&Done::Kick(PCPUS[0])));
    guest.pending_interrupt();
    let gic = &guest.vcpu.partition.devices.lock().gic;
    assert_eq!(gic.read_its(0x90, Width::Double), Access::Done(place));
}

#[test]
fn commands_on_a_shared_cpu_are_broken_off_for_an_interrupt_and_done_before_the_guest_goes_on() {
    let (_, mut guest) = first_turn_with(|linux| linux.its = Some(CONFIG));
    ready(&mut guest);
    pend(0, HYPERVISOR_TIMER);
    commands(&mut guest, &[Command::Sync { target: 0 }; 20]);
    let done = |guest: &Guest| {
        guest
            .vcpu
            .partition
            .devices
            .lock()
            .gic
            .read_its(0x90, Width::Double)
    };
    assert_eq!(done(&guest), Access::Done(32));

    decide(&mut guest);

    assert_eq!(done(&guest), Access::Done(20 * 32));
}

#[test]
fn refused_commands_are_reported_by_kind_and_unknown_registers_beside_them() {
    let world = world();
    let mut guest = world.guest(LINUX, 0);
    guest.bring_up();
    ready(&mut guest);
    let discard = Command::Discard {
        device: DEVICE,
        event: 5,
    };
    let foreign = Command::Int {
        device: DEVICE + 1,
        event: 0,
    };
    commands(&mut guest, &[discard, foreign, discard]);
    guest.store(ITS + 0x40, Width::Byte, 1);
    let mut cursor = Some(Cursor::START);
    let mut text = String::new();
    while let Some(here) = cursor {
        let (line, next) = here.line(world.hypervisor);
        text += core::str::from_utf8(line.bytes()).expect("ASCII");
        cursor = next;
    }
    assert!(
        text.contains("report refused partition=linux registers=1\nreport refused partition=linux movi=0 int=1 clear=0 sync=0 mapd=0 mapc=0 mapti=0 inv=0 invall=0 movall=0 discard=2 unknown=0\n"),
        "{text}"
    );
}

#[test]
fn partition_without_an_its_has_nothing_there() {
    let mut guest = World::new().started(LINUX);
    guest.store(ITS, Width::Word, 1);
    assert_eq!(guest.vcpu.partition.faults(), 1);
}

#[test]
fn unaligned_access_is_a_fault() {
    let mut guest = world().started(LINUX);
    guest.store(ITS + 0x82, Width::Double, 1);
    assert_eq!(guest.vcpu.partition.faults(), 1);
}
