//! Events as they are recorded and as a report prints them.

use model::device::Width;
use model::{PartitionId, VcpuId};

use super::report::IN_A_LINE;
use super::*;
use crate::exit::ExitKind;
use crate::fake::{
    CPU_OFF, ENTRY, LINUX, NOWHERE, OWNED_SPI, Outcome, RT, UART, World, advance, pend, run_on,
    script, take_wire, type_in,
};
use crate::power::Start;
use crate::report::Line;
use crate::vcpu::KICK;

/// The events of a pCPU, as a report prints them.
pub(crate) fn events(world: &World, pcpu: usize) -> Vec<String> {
    let head = format!("report events pcpu={pcpu} ");
    let lines = lines(world);
    let own = lines.iter().filter_map(|line| line.strip_prefix(&head));
    own.flat_map(str::split_whitespace)
        .map(str::to_owned)
        .collect()
}

/// All lines of a report on the trace.
fn lines(world: &World) -> Vec<String> {
    let lines = (0..).map_while(|index| {
        let mut line = Line::default();
        let machine = &world.hypervisor.machine;
        report(machine.rings(), machine.frequency(), index, &mut line)
            .then(|| str::from_utf8(line.bytes()).unwrap().to_owned())
    });
    lines.collect()
}

/// The same for one that has run, without the times.
fn untimed(world: &World, pcpu: usize) -> Vec<String> {
    let events = events(world, pcpu).into_iter();
    events
        .map(|event| event.split('@').next().unwrap_or_default().to_owned())
        .collect()
}

fn event(at: u64) -> Event {
    Event {
        at,
        kind: Kind::WAKE,
        who: Who::NOBODY,
        value: 0,
    }
}

#[test]
fn event_is_the_same_after_it_was_kept() {
    let whole = Event {
        at: (1 << 56) - 1,
        kind: Kind::entry(ExitKind::Wait),
        who: Who::vcpu(PartitionId::new(254), VcpuId::new(7)),
        value: (1 << 48) - 1,
    };
    assert_eq!(Event::from_words(whole.words()), whole);
    let wide = Event {
        at: u64::MAX,
        value: u64::MAX,
        ..whole
    };
    assert_eq!(Event::from_words(wide.words()), whole);
}

#[test]
fn layout_is_the_one_of_the_documentation() {
    let fault = Event {
        at: 0x1234,
        kind: Kind::fault(Access::Write),
        who: Who::vcpu(PartitionId::new(2), VcpuId::new(1)),
        value: 0x3fff_fffc,
    };
    assert_eq!(
        fault.words(),
        [0x4100_0000_0000_1234, 0x0201_0000_3fff_fffc]
    );
}

#[test]
fn full_ring_keeps_the_latest_events_and_one_that_is_off_what_it_has() {
    let ring = Ring::new();
    let times = |most| {
        let last = ring.all.last(most);
        last.map(|event| event.at).collect::<Vec<_>>()
    };
    assert!(times(ROOM).is_empty());
    (0..ROOM as u64 + 3).for_each(|at| ring.put(event(at)));
    let last = ROOM as u64 + 2;
    assert_eq!(times(2), [last - 1, last]);
    assert_eq!((times(ROOM).len(), times(ROOM)[0]), (ROOM - 1, 4));
    ring.turn(false);
    ring.put(event(9_999));
    assert_eq!(times(1), [last]);
    ring.turn(true);
    ring.put(event(9_999));
    assert_eq!(times(1), [9_999]);
}

/// An exit that costs so much ends.
fn end_exit(ring: &Ring, cost: u64) {
    ring.waited(0u64.wrapping_sub(cost));
    ring.entering(0, Who::NOBODY, Kind::entry(ExitKind::Mmio));
}

/// The times of the events around the dearest exit of a ring; the exit's own is 0.
fn around(ring: &Ring) -> Vec<u64> {
    let numbers = ring.dearest.numbers(&ring.all);
    let events = numbers.filter_map(|number| ring.dearest.get(&ring.all, number));
    events.map(|event| event.at).collect()
}

#[test]
fn events_around_the_dearest_exit_stay_when_the_ring_has_gone_on() {
    for (before, cheaper) in [(0, 5), (3, 5), (100, 5), (100, 10_000)] {
        // Arrange.
        let ring = Ring::new();
        (1..=before).for_each(|at| ring.put(event(at)));
        end_exit(&ring, 700);
        let own = ring.all.count() - 1;
        // Act: soon after it, and long after it.
        let oldest = before.saturating_sub(22).max(1);
        let expected: Vec<u64> = (oldest..=before).chain([0]).collect();
        assert_eq!(around(&ring), expected, "{before} events before it");
        for at in 1_000..1_000 + cheaper {
            ring.put(event(at));
            end_exit(&ring, 699);
        }
        // Assert.
        let found = around(&ring);
        assert_eq!(found[..expected.len()], expected, "{cheaper} exits later");
        let most = (32 - expected.len()).min(2 * cheaper as usize);
        assert!(found.len() >= expected.len() + most.min(8), "{found:?}");
        assert_eq!(
            ring.dearest.exit(&ring.all).map(|exit| exit.value),
            Some(700)
        );
        assert!(ring.all.count() > own);
    }
}

#[test]
fn dearer_exit_takes_the_place_of_the_one_before_it_and_none_does_while_the_ring_is_off() {
    let ring = Ring::new();
    end_exit(&ring, 10);
    (1..9).for_each(|at| ring.put(event(at)));
    end_exit(&ring, 11);
    assert_eq!(
        ring.dearest.exit(&ring.all).map(|exit| exit.value),
        Some(11)
    );
    assert_eq!(around(&ring), [0, 1, 2, 3, 4, 5, 6, 7, 8, 0]);
    ring.turn(false);
    end_exit(&ring, 12);
    assert_eq!(
        ring.dearest.exit(&ring.all).map(|exit| exit.value),
        Some(11)
    );
}

#[test]
fn report_names_the_dearest_exit_of_a_pcpu_behind_its_events() {
    let world = World::new();
    let mut guest = world.started(RT);
    guest.store(NOWHERE, Width::Word, 1);
    advance(0x2a);
    run_on(2, || entering(guest.vcpu, ExitKind::Fault));
    let text = lines(&world).concat();
    let dearest = "report dearest pcpu=2 entry:fault/1.0=0x2a@";
    assert!(text.contains(dearest), "{text}");
    assert!(text.contains("report around pcpu=2 started/1@"), "{text}");
}

#[test]
fn fault_is_reported_once_when_the_ring_has_it_and_when_others_have_pushed_it_out() {
    let world = World::new();
    let mut guest = world.started(RT);
    guest.store(NOWHERE, Width::Word, 1);
    let fault = "fault:write/1.0=0xa000000@1000";
    let ring = &world.hypervisor.machine.rings()[2];
    for others in [0, ROOM as u64] {
        (0..others).for_each(|at| ring.put(event(2_000 + at)));
        let text = lines(&world).concat();
        assert_eq!(text.matches(fault).count(), 1, "{text}");
        let kept = text.contains(&format!("report kept pcpu=2 started/1@1000 {fault}"));
        assert_eq!(kept, others > 0);
    }
}

#[test]
fn key_turns_the_trace_off_and_on_and_a_report_off() {
    let world = World::new();
    let mut guest = world.started(RT);
    let mut short_exits = || {
        guest.load(UART + 0x18, Width::Word);
        let events = untimed(&world, 2).into_iter();
        events.filter(|event| event == "short:mmio/1.0").count()
    };
    assert_eq!(short_exits(), 1);
    for (keys, expected) in [("t", 1), ("t", 2), ("s", 2), ("t", 3)] {
        type_in(b"\x1d");
        type_in(keys.as_bytes());
        world.hypervisor.serve_console();
        assert_eq!(short_exits(), expected, "{keys}");
    }
    world.hypervisor.pump_console();
    let wire = take_wire();
    assert!(
        wire.contains("the trace is off") && wire.contains("the trace is on"),
        "{wire}"
    );
}

#[test]
fn last_events_of_a_pcpu_are_its_own_and_the_oldest_comes_first() {
    let world = World::new();
    let mut guest = world.started(RT);
    guest.store(NOWHERE, Width::Word, 1);
    let mut kinds = Vec::new();
    for pcpu in [2, 0] {
        run_on(pcpu, || {
            let last = last(&world.hypervisor.machine, 2);
            kinds.extend(last.map(|event| event.kind));
        });
    }
    let [exit, fault] = [Kind::exit(Reason::Synchronous), Kind::fault(Access::Write)];
    assert_eq!(kinds, [exit, fault]);
}

#[test]
fn words_that_are_no_event_are_printed_all_the_same() {
    for words in [[u64::MAX; 2], [0x0f << 56, 0], [0x1f << 56, 0]] {
        let text = Event::from_words(words).to_string();
        assert!(text.contains('?') && text.contains('@'), "{text}");
    }
}

#[test]
fn longest_line_on_events_fits() {
    let world = World::new();
    let longest = (0..=u8::MAX).map(|kind| {
        Event::from_words([
            u64::from(kind) << 56 | u64::MAX >> 8,
            0xfefe << 48 | u64::MAX >> 16,
        ])
    });
    let longest = longest.max_by_key(|event| event.to_string().len()).unwrap();
    let ring = world.hypervisor.machine.rings().last().unwrap();
    (0..IN_A_LINE).for_each(|_| ring.put(longest));
    assert_eq!(events(&world, 2), vec![longest.to_string(); IN_A_LINE]);
    assert!(IN_A_LINE * (longest.to_string().len() + 1) + 30 < Line::LONGEST);
}

#[test]
fn exit_is_recorded_with_its_cause_and_its_cost_on_a_cpu_of_its_own() {
    let world = World::new();
    let mut guest = world.started(RT);
    advance(100);
    guest.store(UART, Width::Word, b'x'.into());
    run_on(2, || entering(guest.vcpu, ExitKind::Mmio));
    let all = untimed(&world, 2);
    let syndrome = 0x24u64 << 26 | 1 << 25 | crate::fake::access(Width::Word, 5) | 1 << 6;
    assert_eq!(
        all,
        [
            "started/1".to_owned(),
            format!("exit:sync/1.0={syndrome:#x}"),
            "entry:mmio/1.0".to_owned()
        ]
    );
}

#[test]
fn short_exit_is_one_event() {
    let world = World::new();
    let mut guest = world.started(RT);
    guest.load(UART + 0x18, Width::Word);
    assert_eq!(untimed(&world, 2), ["started/1", "short:mmio/1.0"]);
}

#[test]
fn fault_of_a_guest_stands_in_the_ring_of_its_pcpu() {
    let world = World::new();
    let mut guest = world.started(RT);
    guest.store(NOWHERE, Width::Word, 1);
    let all = untimed(&world, 2);
    assert!(
        all.contains(&"fault:write/1.0=0xa000000".to_owned()),
        "{all:?}"
    );
    assert!(events(&world, 0).is_empty());
}

#[test]
fn interrupt_while_a_guest_is_off_is_an_event_of_its_own_and_costs_its_exit_nothing() {
    let world = World::new();
    let (_, mut second) = world.both();
    // Meanwhile the other one turns it on again.
    script(move || {
        advance(5_000);
        let start = Start {
            entry: ENTRY,
            context: 0,
        };
        let mut power = world.partition(LINUX).power.lock();
        assert_eq!(power.cpu_on(1, start, true), Ok(VcpuId::new(1)));
        pend(1, KICK.get());
    });
    assert_eq!(second.hvc([CPU_OFF, 0, 0, 0]), Outcome::Resumed);
    let all = untimed(&world, 1);
    assert!(all.contains(&"interrupt/-".to_owned()), "{all:?}");
    run_on(1, || entering(second.vcpu, ExitKind::FirmwareCall));
    let last = untimed(&world, 1).pop();
    assert_eq!(last.as_deref(), Some("entry:smc/0.1"), "it costs 0");
}

#[test]
fn exit_costs_what_came_since_the_guest_was_left_or_its_pcpu_last_waited() {
    let who = Who::vcpu(PartitionId::new(1), VcpuId::new(0));
    for (waited, cost) in [(None, 60), (Some(150), 10), (Some(100), 60)] {
        let ring = Ring::new();
        ring.left(100, who, Reason::Synchronous, 0x81);
        waited.into_iter().for_each(|at| ring.waited(at));
        ring.entering(160, who, Kind::entry(ExitKind::Hypercall));
        let events: Vec<String> = ring.all.last(9).map(|event| event.to_string()).collect();
        let entry = format!("entry:hvc/1.0={cost:#x}@160");
        assert_eq!(events, ["exit:sync/1.0=0x81@100".to_owned(), entry]);
        assert_eq!(
            ring.dearest.exit(&ring.all).map(|exit| exit.value),
            Some(cost)
        );
    }
}

#[test]
fn exit_for_an_interrupt_has_its_number() {
    let world = World::new();
    let mut guest = world.started(LINUX);
    guest.interrupt(OWNED_SPI);
    assert!(untimed(&world, 0).contains(&"exit:interrupt/0.0=0x30".to_owned()));
}
