//! The health monitor: each abnormal event has a [`Class`], is counted, kept and told, and is answered as its partition's
//! [`Monitor`](model::monitor::Monitor) says.
//!
//! # Principles
//! - The answer is worked out where the event happened, in bounded time, and touches its partition alone. What others must do about it they are
//!   kicked for.
//! - Nobody polls: what waits for time to pass (a restart, a start, a watchdog) has the alarm of some pCPU ring, which looks at all partitions.
//! - An event is always counted and answered. It is told and kept while the [bucket](bucket) of its partition lasts, so that a storm of events
//!   neither floods the console nor pushes the records of others out.

mod after;
mod bucket;
pub(crate) mod calls;
pub mod control;
#[cfg(feature = "trace")]
mod last;
mod notice;
#[cfg(feature = "control")]
pub(crate) mod page;
mod rates;
pub mod record;
#[cfg(feature = "tail")]
mod tail;
#[cfg(feature = "shared")]
mod turns;

use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use model::VcpuId;
use model::monitor::Class;
use model::partition::FaultPolicy;

use crate::arch::aarch64::inject::Exception;
use crate::event::Event;
use crate::machine::{Cpu, Machine};
use crate::partition::{Partition, request};
use crate::power::{Lifecycle, Then};
use crate::report::Line;
use crate::vcpu::{Hypervisor, Vcpu};
use bucket::Bucket;
#[cfg(feature = "shared")]
pub(crate) use rates::BUDGET;
use rates::Rates;
use record::{Record, Records, Registers};

/// No time is set.
const NEVER: u64 = u64::MAX;

/// What is known of a partition's failures.
#[derive(Debug)]
pub struct Health {
    counts: [AtomicU64; Class::COUNT],
    bucket: Bucket,
    /// When it must have said that it is alive, in ticks; [`NEVER`]: it is not watched now.
    alive_by: AtomicU64,
    /// Its virtual CPUs rest. Written with its power locked.
    suspended: AtomicBool,
    rates: Rates,
    /// It has run.
    has_begun: AtomicBool,
    /// Number of the first record that was not looked at to tell this partition of it.
    told: AtomicU64,
    /// What its page of calls shows.
    #[cfg(feature = "control")]
    pub(crate) answer: page::LastAnswer,
}

impl Health {
    /// Nothing has happened.
    pub const fn new() -> Self {
        Self {
            counts: [const { AtomicU64::new(0) }; Class::COUNT],
            bucket: Bucket::new(),
            alive_by: AtomicU64::new(NEVER),
            suspended: AtomicBool::new(false),
            rates: Rates::new(),
            has_begun: AtomicBool::new(false),
            told: AtomicU64::new(0),
            #[cfg(feature = "control")]
            answer: page::LastAnswer::new(),
        }
    }

    /// Events of a class so far.
    pub fn count(&self, class: Class) -> u64 {
        let count = self.counts.get(class as usize);
        count.map_or(0, |count| count.load(Ordering::Relaxed))
    }
}

impl Default for Health {
    fn default() -> Self {
        Self::new()
    }
}

/// What the monitor has for the whole system.
pub struct Watch {
    /// Ticks of the system counter in a second.
    frequency: u64,
    /// When the next partition is to be looked at, in ticks.
    due: AtomicU64,
    /// When others' counters may be asked for again, in ticks.
    #[cfg(feature = "shared")]
    asks: AtomicU64,
    records: Option<Records>,
}

impl Watch {
    /// With a system counter of `frequency` Hz. What happens is kept in `records`, if there are any.
    pub const fn new(frequency: u64, records: Option<Records>) -> Self {
        Self {
            frequency,
            due: AtomicU64::new(NEVER),
            #[cfg(feature = "shared")]
            asks: AtomicU64::new(0),
            records,
        }
    }

    /// A time in nanoseconds as ticks, rounded up.
    fn ticks(&self, nanoseconds: u64) -> u64 {
        let ticks = (u128::from(nanoseconds) * u128::from(self.frequency)).div_ceil(1_000_000_000);
        u64::try_from(ticks).unwrap_or(NEVER)
    }
}

/// An abnormal event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What kind.
    pub class: Class,
    /// Of which virtual CPU; `None` when it is of none alone.
    pub vcpu: Option<VcpuId>,
    /// Where its program was; 0 when that is not known.
    pub pc: u64,
    /// What it is about: the address, the called function, the guest's own code, the syndrome of an undefined instruction, or a number of interrupts
    /// or budgets.
    pub value: u64,
}

impl<M: Machine> Hypervisor<M> {
    /// Counts, keeps and tells what a partition did, and says what is to be done about it: a restart stands for one that the limit allows.
    pub(crate) fn judge(
        &self,
        partition: &Partition,
        failure: &Failure,
        registers: impl FnOnce() -> Option<Registers>,
    ) -> FaultPolicy {
        let health = &partition.health;
        let class = failure.class;
        let count = health.counts.get(class as usize);
        let count = count.map_or(0, |count| count.fetch_add(1, Ordering::Relaxed)) + 1;
        let now = M::Cpu::now();
        let is_told = health.bucket.take(now, self.watch.frequency);
        if is_told {
            self.keep(partition, failure, count, now, registers());
            self.notify(partition);
            // The others have messages of their own.
            if !matches!(class, Class::IllegalAccess | Class::IommuFault) {
                self.machine.record(Event::Failed {
                    partition: partition.id,
                    failure: *failure,
                    count,
                });
            }
            #[cfg(feature = "trace")]
            self.tell_last(partition);
        }
        let config = partition.config;
        match config.monitor.answer(class, config.on_fault) {
            FaultPolicy::Restart => self.limited(partition, class, now, is_told),
            other => other,
        }
    }

    fn keep(
        &self,
        partition: &Partition,
        failure: &Failure,
        count: u64,
        now: u64,
        registers: Option<Registers>,
    ) {
        if let Some(records) = &self.watch.records {
            records.append(&Record {
                class: failure.class as u8,
                partition: partition.id.get(),
                vcpu: failure.vcpu.map_or(Record::NO_VCPU, VcpuId::get),
                ticks: now,
                pc: failure.pc,
                value: failure.value,
                count,
                registers,
                #[cfg(feature = "trace")]
                trace: record::Trace::of(crate::trace::last(&self.machine, record::Trace::MOST)),
            });
        }
    }

    /// The answer to a failure that restarts its partition, at a limit or after a pause.
    fn limited(&self, partition: &Partition, class: Class, now: u64, is_told: bool) -> FaultPolicy {
        let monitor = &partition.config.monitor;
        let counted = {
            let mut power = partition.power.lock();
            let counted = power.count_failure(monitor.limit);
            if monitor.back_off > 0 && matches!(counted, Some(Ok(_))) {
                power.pause_until(now.saturating_add(self.watch.ticks(monitor.back_off)));
            }
            counted
        };
        match counted {
            None => FaultPolicy::Restart,
            Some(Ok(number)) => {
                if is_told {
                    self.machine.record(Event::Restarting {
                        partition: partition.id,
                        class,
                        number,
                    });
                }
                FaultPolicy::Restart
            }
            Some(Err(restarts)) => {
                self.machine.record(Event::LimitReached {
                    partition: partition.id,
                    class,
                    restarts,
                });
                monitor.at_limit
            }
        }
    }

    /// The answer to a fault of a partition's device.
    #[cfg(feature = "iommu")]
    pub(crate) fn answer_to_device(
        &self,
        partition: &Partition,
        fault: &smmu::Fault,
    ) -> FaultPolicy {
        let failure = Failure {
            class: Class::IommuFault,
            vcpu: None,
            pc: 0,
            value: fault.address.map_or(0, model::Ipa::get),
        };
        self.judge(partition, &failure, || None)
    }

    /// Does from any pCPU what was answered, where the guest itself gets nothing.
    pub(crate) fn carry_out(&self, partition: &Partition, answer: FaultPolicy) {
        let then = match answer {
            FaultPolicy::Inject => return,
            FaultPolicy::Stop => Then::Stop,
            FaultPolicy::Restart => Then::Restart,
            FaultPolicy::StopSystem => self.machine.end(self.system.end),
        };
        self.stop_from_outside(partition, then);
    }

    /// Begins to stop a partition from any pCPU. False when it does not run.
    fn stop_from_outside(&self, partition: &Partition, then: Then) -> bool {
        let began = {
            let mut power = partition.power.lock();
            let began = power.begin_stop(then);
            if began {
                partition.health.suspended.store(false, Ordering::Relaxed);
            }
            began
        };
        if began {
            self.kick(partition, partition.everyone(), request::POWER);
        }
        began
    }

    /// When the alarm must ring for a partition, in ticks.
    pub(crate) fn due(&self) -> u64 {
        self.watch.due.load(Ordering::Relaxed)
    }

    /// Partitions are looked at again at `at`, in ticks, or before.
    fn look_again_at(&self, at: u64) {
        if at != NEVER {
            self.watch.due.fetch_min(at, Ordering::Relaxed);
            self.set_alarm(Some(at));
        }
    }

    /// Looks at all partitions when one of them is due: those whose time to start has come are told, those that do not say that they are alive
    /// have failed.
    pub(crate) fn look_after_partitions(&self) {
        let now = M::Cpu::now();
        let due = self.due();
        if due > now {
            // The alarm rang for something else, and may have been set for that in this one's place.
            self.look_again_at(due);
            return;
        }
        self.watch.due.store(NEVER, Ordering::Relaxed);
        let next = self.partitions.iter().map(|one| self.look_at(one, now));
        self.look_again_at(next.min().unwrap_or(NEVER));
    }

    /// Does what is due for a partition. Returns when something is again.
    fn look_at(&self, partition: &Partition, now: u64) -> u64 {
        let starts = partition.power.lock().waits_until();
        match starts {
            Some(at) if at > now => return at,
            Some(_) => {
                partition.power.lock().time_has_come();
                self.kick_first(partition);
                return NEVER;
            }
            None => {}
        }
        // One that is suspended does nothing, and cannot say anything.
        if partition.power.lock().lifecycle() != Lifecycle::Running {
            return NEVER;
        }
        let rates = self.look_at_rates(partition, now);
        let alive_by = partition.health.alive_by.load(Ordering::Relaxed);
        if alive_by > now {
            return alive_by.min(rates);
        }
        let next = self.watch(partition, now).min(rates);
        let failure = Failure {
            class: Class::Watchdog,
            vcpu: None,
            pc: 0,
            value: 0,
        };
        let answer = self.judge(partition, &failure, || None);
        self.carry_out(partition, answer);
        next
    }

    /// The partition runs from `now` on: it is watched.
    pub(super) fn begin_watch(&self, partition: &Partition) {
        let now = M::Cpu::now();
        let alive_by = self.watch(partition, now);
        let window = self.begin_window(partition, now);
        self.look_again_at(alive_by.min(window));
    }

    /// The partition is alive at `now`. Returns by when it must say so again, in ticks.
    fn watch(&self, partition: &Partition, now: u64) -> u64 {
        let period = partition.config.monitor.watchdog;
        let at = period.map_or(NEVER, |period| now.saturating_add(self.watch.ticks(period)));
        partition.health.alive_by.store(at, Ordering::Relaxed);
        at
    }

    fn kick_first(&self, partition: &Partition) {
        let first = gic::virt::VcpuSet::only(VcpuId::new(0));
        self.kick(partition, first, request::POWER);
    }
}

/// Failures of a partition by class, if there were any.
pub(crate) fn report(partition: &Partition, line: &mut Line) {
    let counts = Class::ALL.map(|class| (class, partition.health.count(class)));
    if counts.iter().all(|(_, count)| *count == 0) {
        return;
    }
    line.put(format_args!(
        "report failures partition={}",
        partition.config.name
    ));
    for (class, count) in counts {
        line.put(format_args!(" {}={count}", class.name()));
    }
    line.put(format_args!("\n"));
}

impl Partition {
    /// True while its virtual CPUs rest.
    #[inline]
    pub(crate) fn is_suspended(&self) -> bool {
        self.health.suspended.load(Ordering::Relaxed)
    }
}

impl<M: Machine> Vcpu<M> {
    /// The answer to what this virtual CPU did.
    fn judge(&self, class: Class, value: u64) -> FaultPolicy {
        let context = &self.context;
        let failure = Failure {
            class,
            vcpu: Some(self.id),
            pc: context.pc,
            value,
        };
        let registers = || {
            let syndrome = M::Cpu::syndrome();
            Some(Registers {
                x: context.x,
                pstate: context.pstate,
                syndrome: syndrome.esr,
                far: syndrome.far,
                stacks: M::Cpu::stacks(),
            })
        };
        self.hypervisor.judge(self.partition, &failure, registers)
    }

    /// The answer to an access to what the partition does not own.
    pub(crate) fn answer_to_access(&self, address: u64) -> FaultPolicy {
        self.judge(Class::IllegalAccess, address)
    }

    /// Something of `class` that its guest did. True when it goes on.
    pub(crate) fn failed(&mut self, class: Class, value: u64) -> bool {
        match self.judge(class, value) {
            FaultPolicy::Inject => return true,
            FaultPolicy::Stop => self.stop_partition(Then::Stop),
            FaultPolicy::Restart => self.stop_partition(Then::Restart),
            FaultPolicy::StopSystem => self.machine().end(self.hypervisor.system.end),
        }
        false
    }

    /// An instruction or a register that its CPUs do not have.
    #[cold]
    pub(crate) fn undefined(&mut self) {
        if self.failed(Class::UndefinedTrap, M::Cpu::exception_syndrome()) {
            self.inject(Exception::Undefined, false);
        }
    }

    /// False while its partition is suspended.
    #[cfg(feature = "shared")]
    #[inline]
    pub(crate) fn may_run(&self) -> bool {
        !self.partition.is_suspended()
    }

    /// First start of its partition: at once, later, behind others, or when it is told to.
    pub(crate) fn first_start(&mut self) {
        let monitor = &self.partition.config.monitor;
        if !monitor.automatic || !monitor.after.is_empty() {
            self.partition.power.lock().hold();
            self.machine().record(Event::Held {
                partition: self.partition.id,
            });
            self.hypervisor.begin_behind_others(self.partition);
        } else if monitor.delay > 0 {
            let delay = self.hypervisor.watch.ticks(monitor.delay);
            let at = M::Cpu::now().saturating_add(delay);
            self.partition.power.lock().wait(at);
            self.hypervisor.look_again_at(at);
        } else {
            self.restart();
        }
    }

    /// The last virtual CPU has parked for a restart. True when that waits: the partition has stopped until then.
    pub(crate) fn pauses(&mut self) -> bool {
        let at = self.partition.power.lock().take_pause();
        let Some(at) = at else { return false };
        self.let_go();
        self.hypervisor.look_again_at(at);
        true
    }

    /// Does what was ordered while no virtual CPU of its partition was on. It is the first one.
    pub(crate) fn obey(&mut self) {
        if self.id != VcpuId::new(0) {
            return;
        }
        let (load, orphan) = {
            let mut power = self.partition.power.lock();
            (power.take_order(), power.take_orphan())
        };
        if load {
            self.restart();
        } else if orphan {
            self.parked();
        }
    }

    /// The partition's image is in place and it starts: it is watched from here on.
    pub(crate) fn watched(&self) {
        self.hypervisor.begin_watch(self.partition);
        self.hypervisor.has_begun(self.partition);
    }

    /// Its guest says that it is alive.
    pub(crate) fn is_alive(&self) {
        let at = self.hypervisor.watch(self.partition, M::Cpu::now());
        self.hypervisor.look_again_at(at);
    }

    /// Waits at EL2 while its partition is suspended. One that takes turns is given none instead.
    pub(crate) fn rest(&mut self) {
        while self.partition.is_suspended() && !self.takes_turns() {
            self.hypervisor.pump_console();
            M::Cpu::wait_for_interrupt();
            #[cfg(feature = "trace")]
            crate::trace::waited(self.machine());
            self.interrupt();
        }
    }
}

#[cfg(test)]
mod tests;
