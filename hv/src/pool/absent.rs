//! No physical CPU is shared: every virtual CPU has its own, and nobody decides anything.

use gic::Acknowledged;

use crate::machine::Machine;
use crate::partition::Partition;
use crate::report::Line;
use crate::vcpu::{Hypervisor, KICK, Vcpu};
use model::IntId;

/// What a CPU needs for turns: nothing.
pub trait SharedCpu {}
impl<T> SharedCpu for T {}

/// What an interrupt controller needs for turns: nothing.
pub trait SharedGic {}
impl<T> SharedGic for T {}

/// What a machine needs for turns: nothing.
pub trait SharedMachine {}
impl<T> SharedMachine for T {}

/// What all pools have in common: nothing.
#[derive(Debug, Default)]
pub struct Common {}

impl Common {
    /// Nothing is counted.
    pub const fn has_counters(&self, _partitions: &[Partition]) -> bool {
        true
    }

    /// The alarm of this CPU is the console's alone.
    pub fn console_alarm<M: Machine>(&self, at: u64) {
        use crate::machine::Cpu;
        M::Cpu::set_alarm(at);
    }
}

/// What a report says at its end of schedulers.
pub const SUMMARY: &str = "report schedulers none, the image has no shared pCPU\n";

/// No virtual CPU has a line on its turns.
pub const fn report(_partition: &Partition, _index: usize, _line: &mut Line) -> bool {
    false
}

/// The SGI by which the pCPU of a virtual CPU is called.
#[derive(Clone, Copy, Debug)]
pub struct Call;

impl Call {
    /// Of a virtual CPU that never shares its pCPU.
    pub const fn new(_shared: bool) -> Self {
        Self
    }

    /// Which one.
    #[inline(always)]
    pub const fn sgi(self) -> IntId {
        KICK
    }

    /// Nothing keeps a call back.
    #[inline(always)]
    pub const fn is_needed(self, _before: u32, _what: u32) -> bool {
        true
    }
}

impl<M: Machine> Hypervisor<M> {
    /// Nobody has any.
    pub const fn call_for_counters(&self) {}
}

impl<M: Machine> Vcpu<M> {
    /// True when it takes turns with others on its pCPU: never.
    #[inline(always)]
    pub const fn takes_turns(&self) -> bool {
        false
    }

    /// Never called: an image is loaded at once.
    #[inline(always)]
    pub const fn restart_in_turns(&mut self) {}

    /// Never called: commands go on in exits.
    #[cfg(feature = "its")]
    #[inline(always)]
    pub const fn execute_in_turns(&mut self) {}

    /// Nothing is broken off.
    #[inline(always)]
    pub const fn is_broken_off(&self) -> bool {
        false
    }

    /// Never called: no WFI is the scheduler's.
    #[inline(always)]
    pub const fn wait_its_turn(&mut self) {}

    /// Another virtual CPU of this pCPU owns no interrupt: there is none.
    #[inline(always)]
    pub const fn hand_to_neighbour(&mut self, _acknowledged: Acknowledged) -> bool {
        false
    }

    /// No alarm calls for another virtual CPU.
    #[inline(always)]
    pub const fn take_alarm(&mut self, _acknowledged: Acknowledged) -> bool {
        false
    }

    /// The alarm is not the scheduler's.
    #[inline(always)]
    pub const fn alarm_rang(&mut self) -> bool {
        false
    }

    /// A call is about this virtual CPU alone.
    #[inline(always)]
    pub const fn was_called(&mut self) {}
}

/// It is always this one's turn.
#[inline(always)]
pub fn schedule<M: Machine>(vcpu: &'static mut Vcpu<M>) -> &'static mut Vcpu<M> {
    vcpu
}
