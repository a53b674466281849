//! The registers of guests' virtual CPUs on request.
//!
//! Each virtual CPU lays a copy of its registers where the console finds it, at the exit that a call brings about, and goes on: nobody is stopped, and a guest
//! that runs in a circle with its interrupts masked answers like any other. One that shares a pCPU answers in its next turn, on its own time.

use core::sync::atomic::{AtomicU64, Ordering};

use model::PartitionId;

use crate::machine::{Cpu, Machine};
use crate::partition::Partition;
use crate::report::{Cursor, Line};
use crate::vcpu::{Hypervisor, Vcpu};

/// The request to a virtual CPU to show its registers, beside those of [`request`](crate::partition::request).
const REGISTERS: u32 = 1 << 3;

/// The system registers that are told, by name: stacks, the last exception, translation, timers.
pub const SYSTEM: [&str; 16] = [
    "sp_el0",
    "sp_el1",
    "elr_el1",
    "spsr_el1",
    "esr_el1",
    "far_el1",
    "vbar_el1",
    "sctlr_el1",
    "tcr_el1",
    "ttbr0_el1",
    "ttbr1_el1",
    "mair_el1",
    "cntv_ctl_el0",
    "cntv_cval_el0",
    "cntp_ctl_el0",
    "cntp_cval_el0",
];

/// Where the guest goes on and its processor state, [`SYSTEM`], x0 to x30.
const WORDS: usize = 2 + SYSTEM.len() + GENERAL;
const GENERAL: usize = 31;
/// Words in a line, so that it fits the console's.
const IN_LINE: usize = 8;
const LINES: usize = WORDS.div_ceil(IN_LINE);

/// What a virtual CPU had in its registers when it last answered. It alone writes.
#[derive(Debug)]
pub struct Snapshot {
    /// One more than the tick of the answer, twice; one more when it was on. 0: it has never answered.
    answer: AtomicU64,
    words: [AtomicU64; WORDS],
}

impl Snapshot {
    /// Nothing yet.
    pub const fn new() -> Self {
        Self {
            answer: AtomicU64::new(0),
            words: [const { AtomicU64::new(0) }; WORDS],
        }
    }

    /// Whether it was on when it answered a call of the tick `asked`; `None` until it has.
    fn was_on(&self, asked: u64) -> Option<bool> {
        let answer = self.answer.load(Ordering::Acquire);
        (answer >> 1 > asked).then_some(answer & 1 == 1)
    }

    fn store(&self, now: u64, words: Option<impl Iterator<Item = u64>>) {
        let on = words.is_some();
        for (place, word) in self.words.iter().zip(words.into_iter().flatten()) {
            place.store(word, Ordering::Relaxed);
        }
        let answer = now.wrapping_add(1) << 1 | u64::from(on);
        self.answer.store(answer, Ordering::Release);
    }
}

impl Default for Snapshot {
    fn default() -> Self {
        Self::new()
    }
}

/// What a person wants to see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// This partition alone; `None`: all.
    only: Option<PartitionId>,
    /// Since when, in ticks.
    asked: u64,
    /// Until when answers are waited for, in ticks.
    deadline: u64,
}

impl Wanted {
    fn includes(&self, partition: &Partition) -> bool {
        self.only.is_none_or(|only| only == partition.id)
    }

    /// False while the virtual CPU whose turn it is may still answer. `place` is a partition and a line of it.
    pub(crate) fn is_ready(
        &self,
        (index, line): (usize, usize),
        partitions: &[Partition],
        now: u64,
    ) -> bool {
        let partition = partitions.get(index).filter(|one| self.includes(one));
        let vcpu = partition.and_then(|one| one.vcpus.get(line / LINES));
        now >= self.deadline || vcpu.is_none_or(|vcpu| vcpu.registers.was_on(self.asked).is_some())
    }

    /// When answers are no longer waited for, in ticks.
    pub(crate) const fn deadline(&self) -> u64 {
        self.deadline
    }

    /// The line at `place`, empty when there is nothing to say, and the next place.
    pub(crate) fn line(
        &self,
        (index, number): (usize, usize),
        partitions: &[Partition],
    ) -> (Line, Option<(usize, usize)>) {
        let mut line = Line::default();
        let Some(partition) = partitions.get(index) else {
            line.put(format_args!("registers end\n"));
            return (line, None);
        };
        let (vcpu, part) = (number / LINES, number % LINES);
        let shared = partition.vcpus.get(vcpu);
        let Some(shared) = shared.filter(|_| self.includes(partition)) else {
            return (line, Some((index + 1, 0)));
        };
        line.put(format_args!(
            "registers partition={} vcpu={vcpu}",
            partition.config.name
        ));
        let state = match shared.registers.was_on(self.asked) {
            Some(true) => None,
            Some(false) => Some("off"),
            None => Some("waits-for-its-turn"),
        };
        if let Some(state) = state {
            line.put(format_args!(" state={state}\n"));
            return (line, Some((index, (vcpu + 1) * LINES)));
        }
        let words = shared.registers.words.iter().enumerate();
        for (word, value) in words.skip(part * IN_LINE).take(IN_LINE) {
            let value = value.load(Ordering::Relaxed);
            match (word, SYSTEM.get(word.wrapping_sub(2))) {
                (0, _) => line.put(format_args!(" pc={value:#x}")),
                (1, _) => line.put(format_args!(" pstate={value:#x}")),
                (_, Some(name)) => line.put(format_args!(" {name}={value:#x}")),
                (_, None) => line.put(format_args!(" x{}={value:#x}", word - 2 - SYSTEM.len())),
            }
        }
        line.put(format_args!("\n"));
        (line, Some((index, number + 1)))
    }
}

impl<M: Machine> Hypervisor<M> {
    /// A person wants to see the registers of a partition, or of all. What comes of it is told as a report is; answers are waited for a tenth of a second.
    pub(crate) fn call_for_registers(&self, only: Option<PartitionId>) {
        let asked = self.now();
        let wanted = Wanted {
            only,
            asked,
            deadline: asked.saturating_add(M::Cpu::second() / 10),
        };
        *self.report.lock() = Some(Cursor::registers(wanted));
        for partition in self.partitions.iter().filter(|one| wanted.includes(one)) {
            self.kick(partition, partition.everyone(), REGISTERS);
        }
    }
}

impl<M: Machine> Vcpu<M> {
    /// Answers a call for its registers, which are loaded when it is `on`, if `requests` has one.
    pub(crate) fn show_registers(&self, requests: u32, on: bool) {
        if requests & REGISTERS == 0 {
            return;
        }
        let context = &self.context;
        let words = on.then(|| {
            [context.pc, context.pstate]
                .into_iter()
                .chain(M::Cpu::guest_registers())
                .chain(context.x)
        });
        self.shared.registers.store(M::Cpu::now(), words);
        self.hypervisor.look_after_console();
    }
}

#[cfg(test)]
mod tests;
