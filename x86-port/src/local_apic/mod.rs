//! The local APIC of a virtual CPU that shares a physical one, by its x2APIC registers (Intel SDM volume 3, chapter 11; 11.12 for the registers as MSRs). The
//! physical APIC is the hypervisor's there.
//!
//! A pure state machine: times are ticks of the time stamp counter and come from outside, and so does the moment at which an interrupt is taken.
//!
//! # Limits
//! All interrupts are edge-triggered: there is no I/O APIC. The entries of the local vector table but the timer's and the error's hold
//! what is written, and nothing raises them. There is no TSC-deadline mode, and CPUID shows none.

mod timer;
mod vectors;

use crate::policy::msr;

use timer::Timer;
use vectors::Vectors;

/// The registers' first and last MSR.
pub const FIRST: u32 = 0x800;
/// See [`FIRST`].
pub const LAST: u32 = 0x8ff;

/// Registers that are named here alone (table 11-6).
mod register {
    pub const ID: u32 = 0x802;
    pub const VERSION: u32 = 0x803;
    pub const TASK_PRIORITY: u32 = 0x808;
    pub const PROCESSOR_PRIORITY: u32 = 0x80a;
    pub const END_OF_INTERRUPT: u32 = 0x80b;
    pub const LOGICAL_DESTINATION: u32 = 0x80d;
    pub const SPURIOUS: u32 = 0x80f;
    pub const IN_SERVICE: u32 = 0x810;
    pub const IN_SERVICE_LAST: u32 = 0x817;
    pub const TRIGGER_MODE: u32 = 0x818;
    pub const TRIGGER_MODE_LAST: u32 = 0x81f;
    pub const REQUEST: u32 = 0x820;
    pub const REQUEST_LAST: u32 = 0x827;
    pub const ERROR_STATUS: u32 = 0x828;
    pub const THERMAL: u32 = 0x833;
    pub const ERROR: u32 = 0x837;
    pub const INITIAL_COUNT: u32 = 0x838;
    pub const CURRENT_COUNT: u32 = 0x839;
    pub const DIVIDE: u32 = 0x83e;
    pub const SELF_IPI: u32 = 0x83f;
}

/// An integrated APIC with six entries in its local vector table, and no end-of-interrupt suppression (11.4.8).
const VERSION: u64 = 0x0005_0014;
/// An entry's mask.
const MASKED: u32 = 1 << 16;
/// The APIC is switched on, in the spurious interrupt vector register.
const ENABLED: u32 = 1 << 8;

/// Error status register (11.5.3): a vector below 16 was to be sent, or to be received.
const ILLEGAL_SENT: u32 = 1 << 5;
const ILLEGAL_RECEIVED: u32 = 1 << 6;

/// A general-protection fault for the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused;

/// What is left to do after a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Nothing.
    None,
    /// The timer counts anew, or no more.
    Timer,
    /// An interrupt command: it may name other CPUs.
    Command(u64),
}

/// A virtual local APIC.
#[derive(Clone, Copy, Debug)]
pub struct LocalApic {
    id: u32,
    task_priority: u8,
    spurious: u32,
    in_service: Vectors,
    requested: Vectors,
    /// Errors since the last write to the error status register, and what that has shown.
    errors: u32,
    error_status: u32,
    /// Entries from the timer's on.
    local: [u32; 6],
    timer: Timer,
    command: u64,
}

impl LocalApic {
    /// After reset, with this identifier: switched off by software, everything masked.
    pub const fn new(id: u32) -> Self {
        Self {
            id,
            task_priority: 0,
            spurious: 0xff,
            in_service: Vectors::NONE,
            requested: Vectors::NONE,
            errors: 0,
            error_status: 0,
            local: [MASKED; 6],
            timer: Timer::RESET,
            command: 0,
        }
    }

    /// RDMSR of a register at `now`.
    ///
    /// # Errors
    /// There is no such register, or it cannot be read.
    pub fn read(&mut self, index: u32, now: u64) -> Result<u64, Refused> {
        self.pass(now);
        let word = |base: u32| (index - base) as u8;
        Ok(match index {
            register::ID => self.id.into(),
            register::VERSION => VERSION,
            register::TASK_PRIORITY => self.task_priority.into(),
            register::PROCESSOR_PRIORITY => self.processor_priority().into(),
            // Cluster in the upper half, a bit for the CPU in the lower (11.12.10.2).
            register::LOGICAL_DESTINATION => u64::from(self.id >> 4) << 16 | 1 << (self.id & 15),
            register::SPURIOUS => self.spurious.into(),
            register::IN_SERVICE..=register::IN_SERVICE_LAST => {
                self.in_service.word(word(register::IN_SERVICE)).into()
            }
            register::TRIGGER_MODE..=register::TRIGGER_MODE_LAST => 0,
            register::REQUEST..=register::REQUEST_LAST => {
                self.requested.word(word(register::REQUEST)).into()
            }
            register::ERROR_STATUS => self.error_status.into(),
            msr::ICR => self.command,
            msr::TIMER..=register::ERROR => {
                let entry = self.local.get((index - msr::TIMER) as usize);
                entry.copied().ok_or(Refused)?.into()
            }
            register::INITIAL_COUNT => self.timer.initial().into(),
            register::CURRENT_COUNT => self.timer.current(now).into(),
            register::DIVIDE => self.timer.divide().into(),
            _ => return Err(Refused),
        })
    }

    /// WRMSR of a register at `now`.
    ///
    /// # Errors
    /// There is no such register, it cannot be written, or the value has bits that it does not have (11.12.1.3).
    pub fn write(&mut self, index: u32, value: u64, now: u64) -> Result<Effect, Refused> {
        self.pass(now);
        if index == msr::ICR {
            self.command = value;
            return Ok(Effect::Command(value));
        }
        let value = u32::try_from(value).map_err(|_| Refused)?;
        let only = |bits: u32| (value & !bits == 0).then_some(value).ok_or(Refused);
        match index {
            register::TASK_PRIORITY => self.task_priority = only(0xff)? as u8,
            register::END_OF_INTERRUPT => {
                only(0)?;
                if let Some(vector) = self.in_service.highest() {
                    self.in_service.remove(vector);
                }
            }
            // Focus checking (bit 9) is taken, and does nothing.
            register::SPURIOUS => {
                self.spurious = only(0x3ff)?;
                if value & ENABLED == 0 {
                    self.local.iter_mut().for_each(|entry| *entry |= MASKED);
                }
            }
            register::ERROR_STATUS => {
                only(0)?;
                self.error_status = core::mem::take(&mut self.errors);
            }
            msr::TIMER => {
                let entry = msr::timer_entry(value.into()).ok_or(Refused)? as u32;
                self.set_local(index, entry);
                self.timer.periodic = entry & 1 << 17 != 0;
                return Ok(Effect::Timer);
            }
            register::THERMAL..=register::ERROR => {
                self.set_local(index, only(local_bits(index))? & !READ_ONLY);
            }
            register::INITIAL_COUNT => {
                self.timer.start(value, now);
                return Ok(Effect::Timer);
            }
            register::DIVIDE => {
                self.timer.set_divide(only(0b1011)?, now);
                return Ok(Effect::Timer);
            }
            register::SELF_IPI => match only(0xff)? as u8 {
                0..16 => self.error(ILLEGAL_SENT),
                vector => self.request(vector),
            },
            _ => return Err(Refused),
        }
        Ok(Effect::None)
    }

    /// While the APIC is switched off, entries stay masked (11.4.7.2).
    fn set_local(&mut self, index: u32, entry: u32) {
        let mask = if self.is_on() { 0 } else { MASKED };
        if let Some(place) = self.local.get_mut((index - msr::TIMER) as usize) {
            *place = entry | mask;
        }
    }

    /// It is switched on, and takes interrupts.
    pub const fn is_on(&self) -> bool {
        self.spurious & ENABLED != 0
    }

    /// Raises what an entry of the local vector table names, unless it is masked.
    fn raise(&mut self, index: u32) {
        let entry = self.local.get((index - msr::TIMER) as usize).copied();
        let Some(entry) = entry.filter(|entry| entry & MASKED == 0) else {
            return;
        };
        match entry as u8 {
            // An error's own illegal vector is told by the register alone.
            0..16 if index == register::ERROR => self.errors |= ILLEGAL_RECEIVED,
            0..16 => self.error(ILLEGAL_RECEIVED),
            vector => self.requested.insert(vector),
        }
    }

    fn error(&mut self, what: u32) {
        self.errors |= what;
        self.raise(register::ERROR);
    }

    /// An interrupt comes, sent by a CPU. One that is switched off takes none (11.4.7.2).
    pub fn request(&mut self, vector: u8) {
        match vector {
            _ if !self.is_on() => {}
            0..16 => self.error(ILLEGAL_RECEIVED),
            _ => self.requested.insert(vector),
        }
    }

    /// Time has passed: a timer that has ended raises its interrupt.
    pub fn pass(&mut self, now: u64) {
        if self.timer.has_ended(now) {
            self.raise(msr::TIMER);
        }
    }

    /// When time alone changes what the guest finds; [`u64::MAX`]: never, as while the timer's interrupt is requested already.
    pub fn next_change(&self) -> u64 {
        match self.local.first() {
            Some(entry) if entry & MASKED == 0 && !self.requested.contains(*entry as u8) => {
                self.timer.deadline()
            }
            _ => u64::MAX,
        }
    }

    /// Class of the highest interrupt that is in service.
    fn serviced_class(&self) -> u8 {
        self.in_service.highest().unwrap_or(0) >> 4
    }

    /// The processor priority register (11.8.3.1).
    pub fn processor_priority(&self) -> u8 {
        let class = self.serviced_class();
        if self.task_priority >> 4 >= class {
            self.task_priority
        } else {
            class << 4
        }
    }

    /// The interrupt to be taken next, as far as priorities say.
    pub fn deliverable(&self) -> Option<u8> {
        self.waiting()
            .filter(|vector| vector >> 4 > self.task_priority >> 4)
    }

    /// The highest interrupt that is requested, and that nothing in service holds back: the task priority may.
    pub fn waiting(&self) -> Option<u8> {
        let highest = self.requested.highest()?;
        (highest >> 4 > self.serviced_class()).then_some(highest)
    }

    /// The CPU takes an interrupt that is [`deliverable`](Self::deliverable).
    pub fn take(&mut self, vector: u8) {
        self.requested.remove(vector);
        self.in_service.insert(vector);
    }

    /// CR8: class of the task priority.
    pub const fn task_class(&self) -> u8 {
        self.task_priority >> 4
    }

    /// The guest has written CR8, 0 to 15.
    pub const fn set_task_class(&mut self, class: u8) {
        if self.task_priority >> 4 != class {
            self.task_priority = class << 4;
        }
    }
}

/// Bits of an entry that are read only: delivery status, and remote IRR.
const READ_ONLY: u32 = 1 << 12 | 1 << 14;

/// Bits that an entry but the timer's has (figure 11-8): vector and mask; a delivery mode, but for errors; polarity and trigger mode of pins.
const fn local_bits(index: u32) -> u32 {
    const COMMON: u32 = 0xff | MASKED | READ_ONLY;
    const MODE: u32 = 0b111 << 8;
    const PIN: u32 = 1 << 13 | 1 << 15;
    match index {
        0x835 | 0x836 => COMMON | MODE | PIN,
        register::ERROR => COMMON,
        _ => COMMON | MODE,
    }
}

#[cfg(test)]
mod tests;
