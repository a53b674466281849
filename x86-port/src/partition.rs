//! What all CPUs see of a partition: where it is in its life, and what it has done.

use core::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};

use hv::exit::Cost;
use hv::power::Lifecycle;

/// Kinds of exits that are counted apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitKind {
    /// Non-maskable interrupts.
    Interrupt,
    /// Hypercalls.
    Hypercall,
    /// CPUID.
    Cpuid,
    /// Trapped MSRs.
    Msr,
    /// I/O ports.
    Io,
    /// Accesses to what the partition does not own.
    Fault,
    /// Instructions that the guest's CPU does not have.
    Undefined,
}

impl ExitKind {
    /// All kinds with their names, in the order in which reports show them.
    pub const ALL: [(Self, &'static str); 7] = [
        (Self::Interrupt, "interrupt"),
        (Self::Hypercall, "vmmcall"),
        (Self::Cpuid, "cpuid"),
        (Self::Msr, "msr"),
        (Self::Io, "io"),
        (Self::Fault, "fault"),
        (Self::Undefined, "undefined"),
    ];
}

/// A partition at run time. Its one virtual CPU writes, others read.
pub struct Partition {
    stopped: AtomicU8,
    /// How often it was started.
    starts: AtomicU64,
    faults: AtomicU64,
    /// A device of its was refused something, which it has not answered for yet.
    accused: AtomicBool,
    costs: [Cost; ExitKind::ALL.len()],
}

impl Partition {
    /// One that was never started.
    #[allow(
        clippy::declare_interior_mutable_const,
        reason = "a value to start from, copied wherever it is named"
    )]
    pub const NEW: Self = Self {
        stopped: AtomicU8::new(0),
        starts: AtomicU64::new(0),
        faults: AtomicU64::new(0),
        accused: AtomicBool::new(false),
        costs: [const { Cost::NEW }; ExitKind::ALL.len()],
    };

    /// It starts. Returns how often it has started before.
    pub fn start(&self) -> u64 {
        self.starts.fetch_add(1, Ordering::Relaxed)
    }

    /// It has stopped for good.
    pub fn stop(&self) {
        self.stopped.store(1, Ordering::Release);
    }

    /// Where it is in its life.
    pub fn lifecycle(&self) -> Lifecycle {
        if self.stopped.load(Ordering::Acquire) != 0 {
            Lifecycle::Stopped
        } else if self.starts.load(Ordering::Relaxed) == 0 {
            Lifecycle::Loading
        } else {
            Lifecycle::Running
        }
    }

    /// How often it was started again.
    pub fn restarts(&self) -> u64 {
        self.starts.load(Ordering::Relaxed).saturating_sub(1)
    }

    /// Counts a fault and returns how many there were.
    pub fn count_fault(&self) -> u64 {
        self.faults.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// A device of its was refused something: it is to answer for that.
    pub fn accuse(&self) {
        self.accused.store(true, Ordering::Release);
    }

    /// True, once, when it is to answer for its devices.
    pub fn is_accused(&self) -> bool {
        self.accused.swap(false, Ordering::AcqRel)
    }

    /// Faults so far.
    pub fn faults(&self) -> u64 {
        self.faults.load(Ordering::Relaxed)
    }

    /// Counts an exit.
    pub fn count(&self, kind: ExitKind, ticks: u64) {
        if let Some(cost) = self.costs.get(kind as usize) {
            cost.add(ticks);
        }
    }

    /// Count and cost of one kind of exit.
    pub fn cost(&self, kind: ExitKind) -> hv::exit::CostSummary {
        Cost::sum(self.costs.get(kind as usize).into_iter())
    }
}
