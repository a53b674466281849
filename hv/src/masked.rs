//! For how long an interrupt may have to wait in the hypervisor: the longest time from one look for interrupts to the next, on each pCPU.
//!
//! Interrupts are masked at EL2. They are looked for when a guest is entered, in a WFI, and by [`is_interrupt_pending`], which long work asks between two
//! pieces. Not measured are the vectors and the exits that they answer by themselves, whose paths are fixed (`cargo xtask bench` counts them), and all
//! before the first guest of a pCPU.
//!
//! [`is_interrupt_pending`]: crate::pool::SharedCpu::is_interrupt_pending

use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::arch::aarch64::guest::Reason;
use crate::machine::Cpu;
use crate::report::Line;

/// pCPUs that are told apart.
pub(crate) const PCPUS: usize = 64;

/// In [`Watch::cause`]: what follows is an acknowledged interrupt, not a syndrome.
const INTERRUPT: u64 = 1 << 63;

static WATCHES: [Watch; PCPUS] = [const { Watch::new() }; PCPUS];

/// A report was asked for: what is there stays as it is, and what the report takes is not counted.
static FROZEN: AtomicBool = AtomicBool::new(false);

/// What one pCPU has measured. It alone writes.
struct Watch {
    /// When it looked last, in ticks; 0: it does not measure.
    since: AtomicU64,
    /// Why the guest was left.
    cause: AtomicU64,
    longest: AtomicU64,
    cause_of_longest: AtomicU64,
    /// When it ended, in ticks.
    end_of_longest: AtomicU64,
}

impl Watch {
    const fn new() -> Self {
        Self {
            since: AtomicU64::new(0),
            cause: AtomicU64::new(0),
            longest: AtomicU64::new(0),
            cause_of_longest: AtomicU64::new(0),
            end_of_longest: AtomicU64::new(0),
        }
    }

    fn of<C: Cpu>() -> Option<&'static Self> {
        WATCHES.get(C::number())
    }

    fn begin(&self, at: u64, cause: u64) {
        self.since.store(at, Ordering::Relaxed);
        self.cause.store(cause, Ordering::Relaxed);
    }

    /// The time since the last look is over.
    fn look(&self, now: u64) {
        let since = self.since.load(Ordering::Relaxed);
        if since == 0 || FROZEN.load(Ordering::Relaxed) {
            return;
        }
        let passed = now.saturating_sub(since);
        if passed > self.longest.load(Ordering::Relaxed) {
            self.longest.store(passed, Ordering::Relaxed);
            self.end_of_longest.store(now, Ordering::Relaxed);
            self.cause_of_longest
                .store(self.cause.load(Ordering::Relaxed), Ordering::Relaxed);
        }
    }

    /// Looked, and goes on.
    fn go_on(&self, now: u64) {
        if self.since.load(Ordering::Relaxed) != 0 {
            self.since.store(now, Ordering::Relaxed);
        }
    }
}

/// A report begins.
pub(crate) fn freeze() {
    FROZEN.store(true, Ordering::Relaxed);
}

/// The guest was left at `at`, in ticks.
pub(crate) fn entered<C: Cpu>(at: u64, reason: Reason) {
    let cause = match reason {
        Reason::Interrupt { acknowledged } => INTERRUPT | u64::from(acknowledged),
        Reason::Synchronous | Reason::SystemError => C::exception_syndrome(),
    };
    if let Some(watch) = Watch::of::<C>() {
        watch.begin(at, cause);
    }
}

/// A guest is entered next.
pub(crate) fn left<C: Cpu>() {
    if let Some(watch) = Watch::of::<C>() {
        watch.look(C::now());
        watch.begin(0, 0);
    }
}

/// Interrupts are looked for here, or waited for by `look`.
pub fn looking<C: Cpu, T>(look: impl FnOnce() -> T) -> T {
    let watch = Watch::of::<C>();
    if let Some(watch) = watch {
        watch.look(C::now());
    }
    let found = look();
    if let Some(watch) = watch {
        watch.go_on(C::now());
    }
    found
}

/// A report's line on the pCPU with this number, empty when it has measured nothing. False behind the last.
pub(crate) fn report(number: usize, line: &mut Line) -> bool {
    let Some(watch) = WATCHES.get(number) else {
        return false;
    };
    let longest = watch.longest.load(Ordering::Relaxed);
    let end = watch.end_of_longest.load(Ordering::Relaxed);
    let cause = watch.cause_of_longest.load(Ordering::Relaxed);
    if longest != 0 {
        let word = if cause & INTERRUPT == 0 {
            "syndrome"
        } else {
            "interrupt"
        };
        let cause = cause & !INTERRUPT;
        line.put(format_args!(
            "report masked pcpu={number} longest={longest} end={end} {word}={cause:#x}\n"
        ));
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn longest_time_is_the_one_between_two_looks_and_has_its_exits_cause() {
        let watch = Watch::new();
        watch.begin(100, 7);
        watch.look(130);
        watch.go_on(130);
        watch.look(150);
        watch.begin(0, 0);
        watch.begin(200, 8);
        watch.look(220);
        assert_eq!(watch.longest.into_inner(), 30);
        assert_eq!(watch.cause_of_longest.into_inner(), 7);
    }

    #[test]
    fn waiting_in_wfi_is_not_counted() {
        let watch = Watch::new();
        watch.begin(100, 7);
        watch.look(110);
        watch.go_on(1_000);
        watch.look(1_020);
        assert_eq!(watch.longest.into_inner(), 20);
    }

    #[test]
    fn time_outside_exits_is_not_counted() {
        let watch = Watch::new();
        watch.look(1_000);
        watch.go_on(1_000);
        watch.look(2_000);
        assert_eq!(watch.longest.into_inner(), 0);
    }
}
