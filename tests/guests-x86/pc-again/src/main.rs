//! Starts again and again while its second CPU counts: that one has stopped whenever a life begins.
#![no_std]
#![no_main]

use core::sync::atomic::{AtomicU64, Ordering};

use pc::{Machine, apic, cpu, println, second};

pc::entry!(main);

/// Lives behind the first one.
const AGAIN: u64 = 20;
/// What no start changes: memory behind the startup page, that the image does not use.
const KEPT: u64 = second::PAGE + 0x1000;
/// Says that `lives` counts.
const MAGIC: u64 = 0x6e69_6167_6120_6370;
/// How long nobody may count when a life begins, in milliseconds: longer than a turn takes to come.
const QUIET_MS: u64 = 3;
/// SYSTEM_RESET.
const RESET: u32 = 0x8400_0009;

#[repr(C)]
struct Kept {
    magic: AtomicU64,
    lives: AtomicU64,
    count: AtomicU64,
}

fn kept() -> &'static Kept {
    // SAFETY: the memory is the program's, aligned, and any bits are a value; it is used as this alone.
    unsafe { &*(KEPT as *const Kept) }
}

/// The second CPU.
fn second() -> ! {
    loop {
        kept().count.fetch_add(1, Ordering::Relaxed);
    }
}

fn main(machine: &Machine) -> ! {
    let (Some(_), Some(other)) = (machine.apics().next(), machine.apics().nth(1)) else {
        panic!("the ACPI tables do not list two CPUs");
    };
    let Kept {
        magic,
        lives,
        count,
    } = kept();
    if magic.swap(MAGIC, Ordering::Relaxed) != MAGIC {
        lives.store(0, Ordering::Relaxed);
    }
    let life = lives.fetch_add(1, Ordering::Relaxed);
    let before = count.load(Ordering::Relaxed);
    let end = cpu::tsc() + QUIET_MS * u64::from(cpu::frequencies().0);
    while cpu::tsc() < end {
        assert_eq!(
            count.load(Ordering::Relaxed),
            before,
            "a CPU of life {life} still runs"
        );
    }
    if life == AGAIN {
        println!("again: done, {life} times");
        cpu::power_off()
    }
    apic::enable();
    second::start(other, second);
    while count.load(Ordering::Relaxed) == before {
        core::hint::spin_loop();
    }
    cpu::hypercall(RESET);
    panic!("SYSTEM_RESET returned")
}
