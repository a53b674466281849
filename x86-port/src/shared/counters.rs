//! What is counted of turns on shared pCPUs, as reports tell it: each of them lays a copy of its counters where all may read them, when a report is asked
//! for and when a partition of its ends.

use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use hv::pool::Published;
use hv::pool::policy::Policy;
use hv::report::Line;
use model::PartitionId;

use super::MOST;
use crate::seat::{self, Seat};
use crate::storage::PCPUS;
use crate::{SYSTEM, apic, cpu};

/// Those of each pCPU's virtual CPUs, in the order in which its policy got them.
static TURNS: [[Published; MOST]; PCPUS] = [const { [const { Published::new() }; MOST] }; PCPUS];
/// Calls for counters so far.
static CALLED_FOR: AtomicU32 = AtomicU32::new(0);
/// A report was asked for, and waits for the counters.
static WANTED: AtomicBool = AtomicBool::new(false);

/// A report was asked for.
pub fn want_report() {
    call();
    WANTED.store(true, Ordering::Release);
}

/// True, once, when a report was asked for and all counters for it are there.
pub fn is_report_due() -> bool {
    WANTED.load(Ordering::Relaxed) && have_answered(None) && WANTED.swap(false, Ordering::AcqRel)
}

/// Has the other pCPUs lay down their counters, if they do soon. The calling one has done so.
pub fn call_others() {
    /// In milliseconds: emulated CPUs wait for their host.
    const PATIENCE: u64 = 100;
    call();
    let own = apic::own();
    let deadline = cpu::now() + u64::from(cpu::tsc_khz()) * PATIENCE;
    while !have_answered(own) && cpu::now() < deadline {
        core::hint::spin_loop();
    }
}

fn shared_pcpus() -> impl Iterator<Item = (usize, u32)> {
    let pcpus = SYSTEM.pcpus.iter().map(|one| one.apic).enumerate();
    pcpus.filter(|(pcpu, _)| seat::on(*pcpu, true).next().is_some())
}

fn call() {
    CALLED_FOR.fetch_add(1, Ordering::AcqRel);
    for (_, apic) in shared_pcpus() {
        apic::send_nmi(apic);
    }
}

/// All shared pCPUs, but for the one with this APIC, have answered the last call.
fn have_answered(but: Option<u32>) -> bool {
    let call = CALLED_FOR.load(Ordering::Acquire);
    let mut others = shared_pcpus().filter(|(_, apic)| Some(*apic) != but);
    others.all(|(pcpu, _)| {
        let first = TURNS.get(pcpu).and_then(|turns| turns.first());
        first.is_none_or(|first| first.answered() == call)
    })
}

/// The counters of one pCPU.
pub struct Counters {
    turns: &'static [Published],
    /// The last call that it has answered.
    answered: u32,
}

impl Counters {
    /// Nothing was counted on this pCPU.
    pub fn of(pcpu: usize) -> Self {
        Self {
            turns: TURNS.get(pcpu).map_or(&[], |turns| turns),
            answered: 0,
        }
    }

    /// Something is decided while this virtual CPU is loaded: a call that was not answered is.
    #[inline]
    pub fn decide(&mut self, loaded: usize, policy: &impl Policy) {
        if let Some(turns) = self.turns.get(loaded) {
            turns.count_entry();
        }
        if CALLED_FOR.load(Ordering::Relaxed) != self.answered {
            self.publish(policy);
        }
    }

    /// Lays down what the policy has counted.
    #[cold]
    pub fn publish(&mut self, policy: &impl Policy) {
        self.answered = CALLED_FOR.load(Ordering::Acquire);
        // The first one's answer stands for all.
        for (index, turns) in self.turns.iter().enumerate().rev() {
            turns.answer(self.answered, |counter| policy.counter(index, counter));
        }
    }
}

/// Tells the lines of a report on the turns of a partition's virtual CPUs.
pub fn report(partition: usize, tell: impl Fn(&Line)) {
    for seat in seat::all_of(PartitionId::new(partition as u8)) {
        let mut line = Line::default();
        let own = Published::new();
        let turns = of(seat).unwrap_or(&own);
        let pcpu = seat.config.pcpu;
        turns.tell(seat.whole.name, seat.number, pcpu, &mut line);
        tell(&line);
    }
}

/// Those of a virtual CPU that shares its pCPU.
fn of(seat: Seat) -> Option<&'static Published> {
    let pcpu = usize::from(seat.config.pcpu.get());
    let place = seat::on(pcpu, true).position(|one| one.index == seat.index)?;
    TURNS.get(pcpu)?.get(place)
}
