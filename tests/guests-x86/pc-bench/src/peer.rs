//! The other CPU: it sleeps until it is called, notes when it has woken up, and calls back.

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use pc::second::{self, CALL, to};
use pc::{apic, cpu};

/// The first CPU.
static FIRST: AtomicU32 = AtomicU32::new(0);
/// The counter when the other CPU had come up or woken up; zero until then.
static AWAKE: AtomicU64 = AtomicU64::new(0);

/// The other CPU, which sleeps.
pub struct Peer {
    apic: u32,
}

/// Starts CPU `other` from CPU `own`, and waits until it is up.
pub fn start(own: u32, other: u32) -> Peer {
    FIRST.store(own, Ordering::Release);
    second::start(other, answer);
    awake();
    Peer { apic: other }
}

impl Peer {
    /// Ticks from the command that calls it to the instruction behind its HLT, its handler included.
    pub fn ping(&self) -> u64 {
        let sent = cpu::tsc();
        apic::command(to(self.apic, CALL));
        awake() - sent
    }
}

/// Sleeps until the other CPU has said when it was awake.
fn awake() -> u64 {
    loop {
        match AWAKE.swap(0, Ordering::AcqRel) {
            0 => cpu::sleep(),
            at => return at,
        }
    }
}

/// Main function of the other CPU.
fn answer() -> ! {
    loop {
        AWAKE.store(cpu::tsc(), Ordering::Release);
        apic::command(to(FIRST.load(Ordering::Acquire), CALL));
        cpu::sleep();
    }
}
