//! What all CPUs see of a partition: where it is in its life, and what it has done.

use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use hv::exit::{Cost, CostSummary};
use hv::power::Lifecycle;
use model::x86::exit::ExitKind;
use x86_port::phase::Gathering;
pub use x86_port::phase::Phase;

/// What the exits of one virtual CPU have cost, by kind.
pub struct Costs([Cost; ExitKind::ALL.len()]);

impl Costs {
    /// Nothing counted yet.
    #[allow(
        clippy::declare_interior_mutable_const,
        reason = "a value to start from, copied wherever it is named"
    )]
    pub const NEW: Self = Self([const { Cost::NEW }; ExitKind::ALL.len()]);

    /// Counts an exit. One CPU does.
    pub fn count(&self, kind: ExitKind, ticks: u64) {
        if let Some(cost) = self.0.get(kind as usize) {
            cost.add(ticks);
        }
    }

    /// Count and cost of one kind of exit, of several virtual CPUs together.
    pub fn sum<'a>(all: impl Iterator<Item = &'a Self> + Clone, kind: ExitKind) -> CostSummary {
        Cost::sum(all.filter_map(move |costs| costs.0.get(kind as usize)))
    }
}

/// A partition at run time, as all of its virtual CPUs change it and others see it.
pub struct Partition {
    /// What its virtual CPUs do together.
    pub gathering: Gathering,
    /// How often it was started.
    starts: AtomicU64,
    faults: AtomicU64,
    /// A device of its was refused something, which it has not answered for yet.
    accused: AtomicBool,
}

impl Partition {
    /// One that was never started.
    #[allow(
        clippy::declare_interior_mutable_const,
        reason = "a value to start from, copied wherever it is named"
    )]
    pub const NEW: Self = Self {
        gathering: Gathering::NEW,
        starts: AtomicU64::new(0),
        faults: AtomicU64::new(0),
        accused: AtomicBool::new(false),
    };

    /// It starts. Returns how often it has started before.
    pub fn start(&self) -> u64 {
        self.starts.fetch_add(1, Ordering::Relaxed)
    }

    /// What its virtual CPUs do.
    pub fn phase(&self) -> Phase {
        self.gathering.phase()
    }

    /// Where it is in its life.
    pub fn lifecycle(&self) -> Lifecycle {
        if self.phase() == Phase::Stopped {
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
        self.accused.load(Ordering::Relaxed) && self.accused.swap(false, Ordering::AcqRel)
    }

    /// Faults so far.
    pub fn faults(&self) -> u64 {
        self.faults.load(Ordering::Relaxed)
    }
}
