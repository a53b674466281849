//! Runs on two CPUs that interrupt one another, and tries to reach CPUs of others by every interrupt command.
#![no_std]
#![no_main]

use core::sync::atomic::{AtomicU64, Ordering};

use pc::second::{self, CALL, INIT, NON_MASKABLE, STARTUP, calls, non_maskables, to};
use pc::{Machine, apic, cpu, println};

pc::entry!(main);

/// Turns of calling and being called.
const TURNS: u64 = 100;
/// Identifiers below this are tried.
const IDENTIFIERS: u32 = 8;
/// Shorthands: all, and all others.
const ALL: u64 = 2 << 18;
const OTHERS: u64 = 3 << 18;
const LOGICAL: u64 = 1 << 11;

/// How often the second CPU has come up.
static STARTS: AtomicU64 = AtomicU64::new(0);
/// Calls that it has seen; it calls back for each.
static SEEN: AtomicU64 = AtomicU64::new(0);

/// Waits, and gives up after 20 s: emulated CPUs wait for their host.
fn wait(what: &str, done: impl Fn() -> bool) {
    let (khz, _) = cpu::frequencies();
    let end = cpu::tsc() + u64::from(khz) * 20_000;
    while !done() {
        assert!(cpu::tsc() < end, "{what}: not within 20 s");
        core::hint::spin_loop();
    }
}

/// The second CPU: sleeps until it is called.
fn second() -> ! {
    STARTS.fetch_add(1, Ordering::AcqRel);
    loop {
        cpu::sleep();
        SEEN.fetch_add(1, Ordering::AcqRel);
    }
}

fn main(machine: &Machine) -> ! {
    let mut apics = machine.apics();
    let (Some(own), Some(other), None) = (apics.next(), apics.next(), apics.next()) else {
        panic!("the ACPI tables do not list two CPUs");
    };
    apic::enable();

    second::start(other, second);
    wait("the second CPU", || STARTS.load(Ordering::Acquire) == 1);
    println!("smp: two CPUs");

    // One that runs takes no startup.
    apic::command(to(other, STARTUP));
    for turn in 0..TURNS {
        let before = (calls(), SEEN.load(Ordering::Acquire));
        // By its identifier, by its place in its cluster, and by both shorthands; the last reaches the sender as well, which does not listen.
        let cluster = other >> 4 << 16 | 1 << (other & 15);
        let command = match turn % 3 {
            0 => to(other, CALL),
            1 => to(cluster, LOGICAL | CALL),
            _ => OTHERS | CALL,
        };
        apic::command(command);
        wait("a call", || {
            calls() == before.0 + 1 && SEEN.load(Ordering::Acquire) > before.1
        });
    }
    apic::command(ALL | CALL);
    cpu::sleep();
    wait("a call of all", || calls() == TURNS + 2);
    println!("smp: {TURNS} calls");

    for count in 1..=10 {
        apic::command(to(other, NON_MASKABLE));
        wait("an NMI", || non_maskables() == count);
    }
    println!("smp: 10 NMIs");

    // Identifiers of others, and of nobody; everybody by number and by shorthand, of which the other CPU's share is known.
    let foreign = (0..IDENTIFIERS).filter(|apic| *apic != own && *apic != other);
    for apic in foreign {
        for what in [CALL, 0x42, NON_MASKABLE, INIT, STARTUP, 0x4200, 0x4140] {
            apic::command(to(apic, what));
            apic::command(to(1 << apic, LOGICAL | what));
        }
    }
    let before = (calls(), non_maskables());
    apic::command(to(u32::MAX, CALL));
    cpu::sleep();
    wait("a call of everybody", || calls() == before.0 + 2);
    apic::command(OTHERS | NON_MASKABLE);
    wait("an NMI of others", || non_maskables() == before.1 + 1);
    println!("smp: others were out of reach");

    second::start(other, second);
    wait("the second start", || STARTS.load(Ordering::Acquire) == 2);
    apic::command(OTHERS | INIT);
    apic::command(OTHERS | STARTUP);
    wait("the third start", || STARTS.load(Ordering::Acquire) == 3);
    println!("smp: done");
    cpu::power_off()
}
