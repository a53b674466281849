//! The CPU that runs this code: identification, time, and the end of it.

use core::arch::x86_64::{__cpuid_count, _rdtsc};
use core::sync::atomic::{AtomicU32, Ordering};

use x86_64::instructions::port::Port;
use x86_64::instructions::{hlt, interrupts};
use x86_64::registers::control::{Cr4, Cr4Flags};
use x86_64::registers::model_specific::Msr;
use x86_64::registers::xcontrol::XCr0;
use x86_port::vendor::{Cpu, Leaf};

use crate::apic;

/// The instructions behind [`vendor::detect`](x86_port::vendor::detect).
pub struct This;

impl Cpu for This {
    fn cpuid(&self, leaf: u32) -> Leaf {
        cpuid(leaf, 0)
    }

    fn msr(&self, index: u32) -> u64 {
        // SAFETY: the caller reads registers that CPUID has shown to exist; none of them has an effect when it is read.
        unsafe { Msr::new(index).read() }
    }
}

/// CPUID.
pub fn cpuid(leaf: u32, subleaf: u32) -> Leaf {
    let answer = __cpuid_count(leaf, subleaf);
    Leaf {
        eax: answer.eax,
        ebx: answer.ebx,
        ecx: answer.ecx,
        edx: answer.edx,
    }
}

/// It has XSAVE, and XCR0.
pub fn has_xsave() -> bool {
    cpuid(1, 0).ecx >> 26 & 1 != 0
}

/// The MSR that RDTSCP gives beside the time.
pub const TSC_AUX: u32 = 0xc000_0103;

/// It has RDTSCP, and so [`TSC_AUX`].
pub fn has_tsc_aux() -> bool {
    cpuid(0x8000_0001, 0).edx >> 27 & 1 != 0
}

/// The time stamp counter.
pub fn now() -> u64 {
    // SAFETY: every CPU that has long mode has the instruction.
    unsafe { _rdtsc() }
}

static TSC_KHZ: AtomicU32 = AtomicU32::new(0);
static APIC_KHZ: AtomicU32 = AtomicU32::new(0);

/// Frequency of the time stamp counter in kHz.
pub fn tsc_khz() -> u32 {
    TSC_KHZ.load(Ordering::Relaxed)
}

/// Frequency of the local APIC's timer in kHz, before it is divided.
pub fn apic_khz() -> u32 {
    APIC_KHZ.load(Ordering::Relaxed)
}

/// Measures the time stamp counter against the interval timer, and the APIC's timer against that. False when one of them does not count.
///
/// An emulated CPU may be held up while it measures, and then finds too much, never too little: the least of several is the nearest.
pub fn calibrate() -> bool {
    const TIMES: usize = 5;
    /// What the APIC's timer counts first: 1 to 40 ms.
    const FIRST_COUNT: u32 = 1_000_000;
    let Some(tsc) = (0..TIMES).filter_map(|_| ticks_in_10_ms()).min() else {
        return false;
    };
    TSC_KHZ.store((tsc / 10) as u32, Ordering::Relaxed);
    // An emulator may be late by a millisecond each time: what is measured takes 10 ms, or longer.
    let Some(first) = apic::time_count(FIRST_COUNT) else {
        return false;
    };
    let count = u64::from(FIRST_COUNT) * tsc / first.max(1);
    let count = count.clamp(FIRST_COUNT.into(), u32::MAX.into()) as u32;
    let ticks = (0..TIMES).filter_map(|_| apic::time_count(count)).min();
    let Some(ticks) = ticks else { return false };
    let khz = u64::from(count) * (tsc / 10) / ticks.max(1);
    APIC_KHZ.store(khz as u32, Ordering::Relaxed);
    true
}

/// Ticks of the time stamp counter while channel 2 of the interval timer (8254) counts 10 ms. `None` when it does not count.
fn ticks_in_10_ms() -> Option<u64> {
    /// 10 ms of its 1,193,182 Hz.
    const COUNT: u16 = 11_932;
    const OUTPUT: u8 = 1 << 5;
    let mut gate = Port::<u8>::new(0x61);
    let mut command = Port::<u8>::new(0x43);
    let mut data = Port::<u8>::new(0x42);
    // SAFETY: the interval timer and its gate are at these ports in every PC, and nobody else drives them.
    unsafe {
        let kept = gate.read() & 0xfc;
        gate.write(kept | 1);
        // Channel 2, both bytes, interrupt on terminal count.
        command.write(0xb0);
        data.write(COUNT as u8);
        data.write((COUNT >> 8) as u8);
        let start = now();
        // Reads of the gate take about a microsecond each; far more of them than 10 ms take means that the timer stands.
        let counted = (0..10_000_000).any(|_| gate.read() & OUTPUT != 0);
        let ticks = now() - start;
        gate.write(kept);
        (counted && ticks >= 10).then_some(ticks)
    }
}

/// Waits, by the time stamp counter.
pub fn wait_microseconds(time: u64) {
    let start = now();
    let ticks = time * u64::from(tsc_khz()) / 1000;
    while now().wrapping_sub(start) < ticks {
        core::hint::spin_loop();
    }
}

/// What this CPU has written is in memory, whoever looks past the caches.
pub fn write_back_caches() {
    // SAFETY: WBINVD drops nothing.
    unsafe { core::arch::asm!("wbinvd", options(nostack)) };
}

/// Sets XCR0 for a guest.
///
/// # Safety
/// The CPU has XSAVE, and `value` is one that XCR0 takes. It concerns vector registers, which the hypervisor does not use.
pub unsafe fn set_guest_xcr0(value: u64) {
    // SAFETY: OSXSAVE makes the instruction exist, and the caller says that the CPU takes both.
    unsafe {
        Cr4::update(|cr4| cr4.insert(Cr4Flags::OSXSAVE));
        XCr0::write_raw(value);
    }
}

/// Waits for ever.
pub fn halt() -> ! {
    loop {
        interrupts::disable();
        hlt();
    }
}
