//! The local APIC by its x2APIC registers (Intel SDM volume 3, 11.12). After boot it is its partition's: only a start of the partition
//! touches it.

use core::sync::atomic::{AtomicBool, Ordering};

use x86_64::instructions::interrupts;
use x86_64::instructions::port::Port;
use x86_64::registers::model_specific::Msr;

use crate::cpu;

const BASE: u32 = 0x1b;
const ID: u32 = 0x802;
const TASK_PRIORITY: u32 = 0x808;
const END_OF_INTERRUPT: u32 = 0x80b;
const SPURIOUS: u32 = 0x80f;
const IN_SERVICE: u32 = 0x810;
#[cfg(feature = "shared")]
const REQUEST: u32 = 0x820;
const COMMAND: u32 = 0x830;
const TIMER: u32 = 0x832;
const LINT0: u32 = 0x835;
const LINT1: u32 = 0x836;
const INITIAL_COUNT: u32 = 0x838;
const DIVIDE: u32 = 0x83e;

/// Masked, vector 255.
const MASKED: u64 = 1 << 16 | 0xff;
/// Switched on, spurious vector 255.
const ON: u64 = 1 << 8 | 0xff;

/// The boot CPU has enabled its own; the others do before anything else.
static ENABLED_ON_ALL: AtomicBool = AtomicBool::new(false);

/// This CPU's identifier. `None` before the APIC is enabled.
pub fn own() -> Option<u32> {
    ENABLED_ON_ALL
        .load(Ordering::Relaxed)
        .then(|| read(ID) as u32)
}

fn read(register: u32) -> u64 {
    // SAFETY: `enable` ran on this CPU, so the register exists; reading has no effect.
    unsafe { Msr::new(register).read() }
}

fn write(register: u32, value: u64) {
    // SAFETY: `enable` ran on this CPU; interrupts are masked in the hypervisor, and none of these registers concerns its memory.
    unsafe { Msr::new(register).write(value) }
}

/// Switches this CPU's APIC to x2APIC mode, everything masked. Returns its identifier.
pub fn enable() -> u32 {
    const ENABLED: u64 = 1 << 11;
    const X2APIC: u64 = 1 << 10;
    // SAFETY: the caller has seen x2APIC in CPUID. The mode is reached through xAPIC mode, as the state diagram wants (11.12.5).
    unsafe {
        let mut base = Msr::new(BASE);
        let value = base.read();
        base.write(value | ENABLED);
        base.write(value | ENABLED | X2APIC);
    }
    ENABLED_ON_ALL.store(true, Ordering::Relaxed);
    write(SPURIOUS, ON);
    for entry in [TIMER, LINT0, LINT1] {
        write(entry, MASKED);
    }
    read(ID) as u32
}

/// Masks all inputs of the two interrupt controllers (8259A) that firmware used. The APIC's entry for them is masked too, which Bochs does not heed.
pub fn silence_legacy() {
    /// Their mask registers.
    const MASKS: [u16; 2] = [0x21, 0xa1];
    for port in MASKS {
        // SAFETY: the controllers are at these ports in every PC that has them, and nobody needs their interrupts.
        unsafe { Port::<u8>::new(port).write(0xff) };
    }
}

/// Puts the APIC into the state that a partition begins with. What was pending for the one before it is taken and dropped.
pub fn reset() {
    write(INITIAL_COUNT, 0);
    write(TIMER, MASKED);
    write(TASK_PRIORITY, 0);
    for register in IN_SERVICE..IN_SERVICE + 8 {
        for _ in 0..read(register).count_ones() {
            write(END_OF_INTERRUPT, 0);
        }
    }
    write(SPURIOUS, ON);
    take_interrupts();
    // Switched off by software, as after reset.
    write(SPURIOUS, 0xff);
    write(DIVIDE, 0);
}

/// Writes the timer's entry of the local vector table: a value that the caller has checked.
pub fn set_timer(entry: u64) {
    write(TIMER, entry);
}

/// Vector of a shared pCPU's alarm: alone in its class, the highest.
#[cfg(feature = "shared")]
const ALARM: u8 = 0xf0;

/// Gives this CPU's timer to the hypervisor, as an alarm.
#[cfg(feature = "shared")]
pub fn enable_alarm() {
    const BY_1: u64 = 0b1011;
    write(SPURIOUS, ON);
    write(DIVIDE, BY_1);
    write(TIMER, u64::from(ALARM));
}

/// The alarm rings after `count` counts of the timer; 0: never.
#[cfg(feature = "shared")]
pub fn start_alarm(count: u32) {
    write(INITIAL_COUNT, u64::from(count));
}

/// True when the alarm has rung, and was not answered.
#[cfg(feature = "shared")]
pub fn has_alarm_rung() -> bool {
    const WORD: u32 = REQUEST + ALARM as u32 / 32;
    read(WORD) >> (ALARM % 32) & 1 != 0
}

/// Takes what is pending for this CPU, and drops it.
pub fn take_interrupts() {
    // Every vector of the hypervisor's own table ends the interrupt and does nothing else.
    interrupts::enable();
    x86_64::instructions::nop();
    interrupts::disable();
}

fn send(command: u64) {
    write(COMMAND, command);
}

/// An interrupt to the CPU with this identifier. The caller has checked that it is its to interrupt.
pub fn send_interrupt(apic: u32, vector: u8) {
    send(u64::from(apic) << 32 | 0x4000 | u64::from(vector));
}

/// INIT to the CPU with this identifier.
pub fn send_init(apic: u32) {
    send(u64::from(apic) << 32 | 0x4500);
}

/// NMI to the CPU with this identifier.
pub fn send_nmi(apic: u32) {
    send(u64::from(apic) << 32 | 0x4400);
}

/// SIPI: the CPU starts at `page`, a multiple of 4 KiB below 1 MiB, in real mode.
pub fn send_startup(apic: u32, page: u64) {
    send(u64::from(apic) << 32 | 0x4600 | page >> 12 & 0xff);
}

/// How long the timer takes to count `count` down, undivided, in ticks of the time stamp counter. `None` when it does not end.
///
/// The end is seen by the interrupt request. Reading the count would tell more, but QEMU that counts instructions cannot answer it. A vector is
/// used once: its request stays until the first partition starts on this CPU.
pub fn time_count(count: u32) -> Option<u64> {
    /// Interrupts that are requested, vectors 224 to 255.
    const LAST_REQUESTS: u32 = 0x827;
    /// Vector 255 is the spurious one, which Bochs lets nobody end.
    const USABLE: u32 = u32::MAX >> 1;
    let unused = (USABLE & !(read(LAST_REQUESTS) as u32)).checked_ilog2()?;
    write(DIVIDE, 0b1011);
    write(TIMER, 224 + u64::from(unused));
    let start = cpu::now();
    write(INITIAL_COUNT, u64::from(count));
    // Each read takes some ten instructions: far more of them than any timer takes.
    let ended = (0..100_000_000).any(|_| read(LAST_REQUESTS) >> unused & 1 != 0);
    let ticks = cpu::now().wrapping_sub(start);
    write(TIMER, MASKED);
    ended.then_some(ticks)
}
