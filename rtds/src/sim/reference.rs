//! A model of the rules of Xen's `xen/common/sched/rt.c`, with its sorted lists and with its defects, to compare with.
//!
//! It follows the behaviour rule by rule; nothing here is meant to be good. What is wrong in it, on purpose:
//! - the replenishment list is sorted by (level, deadline), so a raised level delays a replenishment;
//! - a vCPU that is replenished while it waits is told to a CPU only when it had no budget, not when its level falls;
//! - when a running vCPU is replenished, only the head of the run list is considered, whether it may run there or not.

use alloc::vec::Vec;
use core::cmp::Ordering;

use embassy_time::{Duration, Instant};

use super::{Policy, Standing};
use crate::key::Level;
use crate::{Actions, AddError, Event, Parameters, PcpuIndex, PcpuSet, VcpuIndex};

#[derive(Clone, Debug)]
struct Unit {
    parameters: Parameters,
    budget: u64,
    deadline: u64,
    level: u64,
    last_start: u64,
    awake: bool,
    depleted: bool,
    /// On its way from a CPU: its context is not saved.
    scheduled: bool,
    /// To be queued when its context is saved.
    add_later: bool,
    pcpu: PcpuIndex,
}

#[derive(Clone, Copy, Debug, Default)]
struct Cpu {
    current: Option<VcpuIndex>,
    loaded: Option<VcpuIndex>,
    slice_end: Option<u64>,
    tickled: bool,
}

/// The model. The first physical CPU keeps the replenishment timer.
#[derive(Clone, Debug)]
pub struct Reference {
    units: Vec<Unit>,
    cpus: Vec<Cpu>,
    /// Those with budget who wait, sorted by priority.
    run: Vec<VcpuIndex>,
    /// Those without.
    depleted: Vec<VcpuIndex>,
    /// All who are awake, sorted by priority too: that is the defect.
    replenish: Vec<VcpuIndex>,
    /// The first CPU's armed replenishment, as it was told.
    armed: Option<u64>,
    start: u64,
    now: u64,
}

impl Reference {
    /// A pool of so many physical CPUs.
    pub fn new(start: Instant, pcpus: usize) -> Self {
        Self {
            units: Vec::new(),
            cpus: alloc::vec![Cpu::default(); pcpus.min(PcpuSet::MOST)],
            run: Vec::new(),
            depleted: Vec::new(),
            replenish: Vec::new(),
            armed: None,
            start: start.as_ticks(),
            now: start.as_ticks(),
        }
    }

    /// Less is more urgent.
    fn compare(&self, one: VcpuIndex, other: VcpuIndex) -> Ordering {
        let rank = |unit: &Unit| (unit.level, unit.deadline);
        let [one, other] = [one, other].map(|vcpu| self.units.get(vcpu.get()).map(rank));
        one.cmp(&other)
    }

    /// Where one belongs in a sorted list: behind its equals.
    fn position(&self, list: &[VcpuIndex], vcpu: VcpuIndex) -> usize {
        let behind = |other: &VcpuIndex| self.compare(vcpu, *other) == Ordering::Less;
        list.iter().position(behind).unwrap_or(list.len())
    }

    fn insert_run(&mut self, vcpu: VcpuIndex) {
        if self
            .units
            .get(vcpu.get())
            .is_some_and(|unit| unit.budget > 0)
        {
            let position = self.position(&self.run, vcpu);
            self.run.insert(position, vcpu);
        } else {
            self.depleted.push(vcpu);
        }
    }

    fn insert_replenish(&mut self, vcpu: VcpuIndex) {
        let position = self.position(&self.replenish, vcpu);
        self.replenish.insert(position, vcpu);
    }

    fn remove_run(&mut self, vcpu: VcpuIndex) {
        self.run.retain(|other| *other != vcpu);
        self.depleted.retain(|other| *other != vcpu);
    }

    fn remove_replenish(&mut self, vcpu: VcpuIndex) {
        self.replenish.retain(|other| *other != vcpu);
    }

    fn queued(&self, vcpu: VcpuIndex) -> bool {
        self.run.contains(&vcpu) || self.depleted.contains(&vcpu)
    }

    fn update_deadline(&mut self, vcpu: VcpuIndex) {
        let now = self.now;
        if let Some(unit) = self.units.get_mut(vcpu.get()) {
            let period = unit.parameters.reservation.period().as_ticks();
            let missed = now.saturating_sub(unit.deadline) / period;
            unit.deadline += (missed + 1) * period;
            unit.budget = unit.parameters.reservation.budget().as_ticks();
            (unit.level, unit.last_start) = (0, now);
        }
    }

    fn burn(&mut self, vcpu: VcpuIndex) {
        let now = self.now;
        if let Some(unit) = self.units.get_mut(vcpu.get()) {
            let spent = now - unit.last_start;
            unit.last_start = now;
            unit.budget = unit.budget.saturating_sub(spent);
            if unit.budget == 0 && unit.parameters.extra_time {
                unit.level += 1;
                unit.budget = unit.parameters.reservation.budget().as_ticks();
            } else if unit.budget == 0 {
                unit.depleted = true;
            }
        }
    }

    /// Tells one CPU about one that waits: an idle one first, then the least urgent one, among those not told anything yet.
    fn tickle(&mut self, vcpu: VcpuIndex) {
        let Some(unit) = self.units.get(vcpu.get()) else {
            return;
        };
        let count = self.cpus.len();
        let cycle = (0..count).map(|step| (unit.pcpu.get() + step) % count);
        let mut latest: Option<(usize, VcpuIndex)> = None;
        let mut chosen = None;
        for index in cycle {
            let allowed = unit
                .parameters
                .affinity
                .contains(PcpuIndex::new(index as u8));
            let Some(cpu) = self.cpus.get(index).filter(|cpu| allowed && !cpu.tickled) else {
                continue;
            };
            let Some(current) = cpu.current else {
                chosen = Some(index);
                break;
            };
            if latest.is_none_or(|(_, latest)| self.compare(current, latest) == Ordering::Greater) {
                latest = Some((index, current));
            }
        }
        let least = latest.filter(|(_, latest)| self.compare(vcpu, *latest) == Ordering::Less);
        if let Some(cpu) = chosen.or(least.map(|(index, _)| index))
            && let Some(cpu) = self.cpus.get_mut(cpu)
        {
            cpu.tickled = true;
        }
    }

    fn replenishments_due(&mut self) {
        let mut done = Vec::new();
        while let Some(first) = self.replenish.first().copied() {
            if self
                .units
                .get(first.get())
                .is_none_or(|unit| unit.deadline > self.now)
            {
                break;
            }
            self.replenish.remove(0);
            self.update_deadline(first);
            done.push(first);
            if self.queued(first) {
                self.remove_run(first);
                self.insert_run(first);
            }
        }
        for vcpu in done {
            let runs = self.cpus.iter().any(|cpu| cpu.current == Some(vcpu));
            if runs {
                if let Some(head) = self.run.first().copied()
                    && self.compare(head, vcpu) == Ordering::Less
                {
                    self.tickle(head);
                }
            } else if self.queued(vcpu)
                && let Some(unit) = self.units.get_mut(vcpu.get())
                && core::mem::take(&mut unit.depleted)
            {
                self.tickle(vcpu);
            }
            self.insert_replenish(vcpu);
        }
    }

    fn schedule(&mut self, here: PcpuIndex) {
        let current = self.cpus.get(here.get()).and_then(|cpu| cpu.current);
        if let Some(current) = current {
            self.burn(current);
        }
        let may_run = |vcpu: &&VcpuIndex| {
            let unit = self.units.get(vcpu.get());
            unit.is_some_and(|unit| unit.parameters.affinity.contains(here))
        };
        let picked = self.run.iter().find(may_run).copied();
        let stays = current.filter(|current| {
            let unit = self.units.get(current.get());
            unit.is_some_and(|unit| unit.awake && unit.budget > 0)
                && picked.is_none_or(|picked| self.compare(*current, picked) != Ordering::Greater)
        });
        let next = stays.or(picked);
        if next != current {
            if let Some(unit) = current.and_then(|current| self.units.get_mut(current.get())) {
                unit.add_later = unit.awake;
            }
            if let Some(next) = next {
                self.remove_run(next);
            }
        }
        let mut slice_end = None;
        if let Some(unit) = next.and_then(|next| self.units.get_mut(next.get())) {
            (unit.last_start, unit.scheduled, unit.pcpu) = (self.now, true, here);
            slice_end = Some(self.now + unit.budget);
        }
        if let Some(cpu) = self.cpus.get_mut(here.get()) {
            (cpu.current, cpu.slice_end, cpu.tickled) = (next, slice_end, false);
        }
    }

    fn saved(&mut self, here: PcpuIndex) {
        let Some(cpu) = self.cpus.get_mut(here.get()) else {
            return;
        };
        let old = core::mem::replace(&mut cpu.loaded, cpu.current);
        let Some(old) = old.filter(|old| cpu.current != Some(*old)) else {
            return;
        };
        let Some(unit) = self.units.get_mut(old.get()) else {
            return;
        };
        unit.scheduled = false;
        if core::mem::take(&mut unit.add_later) && unit.awake {
            self.insert_run(old);
            self.tickle(old);
        } else if !unit.awake {
            self.remove_replenish(old);
        }
    }

    fn wake(&mut self, vcpu: VcpuIndex) {
        let Some(unit) = self.units.get_mut(vcpu.get()) else {
            return;
        };
        unit.awake = true;
        if self.cpus.iter().any(|cpu| cpu.current == Some(vcpu)) || self.queued(vcpu) {
            return;
        }
        let Some(unit) = self.units.get_mut(vcpu.get()) else {
            return;
        };
        unit.add_later = unit.scheduled;
        let waits = unit.scheduled;
        if unit.deadline <= self.now {
            self.update_deadline(vcpu);
        }
        self.remove_replenish(vcpu);
        self.insert_replenish(vcpu);
        if !waits {
            self.insert_run(vcpu);
            self.tickle(vcpu);
        }
    }

    fn block(&mut self, vcpu: VcpuIndex) {
        let Some(unit) = self.units.get_mut(vcpu.get()) else {
            return;
        };
        (unit.awake, unit.add_later) = (false, false);
        if let Some(cpu) = self.cpus.iter_mut().find(|cpu| cpu.current == Some(vcpu)) {
            cpu.tickled = true;
        } else {
            self.remove_run(vcpu);
            self.remove_replenish(vcpu);
        }
    }

    /// When the replenishment timer fires: when the list's head is due.
    fn replenishment(&self) -> Option<u64> {
        let first = self.replenish.first()?;
        self.units.get(first.get()).map(|unit| unit.deadline)
    }
}

impl Policy for Reference {
    fn add(&mut self, parameters: Parameters) -> Result<VcpuIndex, AddError> {
        let index = u16::try_from(self.units.len()).map_err(|_| AddError::TooMany)?;
        self.units.push(Unit {
            parameters,
            budget: 0,
            deadline: self.start,
            level: 0,
            last_start: self.start,
            awake: false,
            depleted: false,
            scheduled: false,
            add_later: false,
            pcpu: parameters.affinity.iter().next().unwrap_or_default(),
        });
        Ok(VcpuIndex::new(index))
    }

    fn on(&mut self, now: Instant, here: PcpuIndex, event: Event) -> Actions {
        self.now = self.now.max(now.as_ticks());
        let now = self.now;
        let told: PcpuSet = self.tickled();
        match event {
            Event::Wake(vcpu) => self.wake(vcpu),
            Event::Block(vcpu) => self.block(vcpu),
            Event::Saved => self.saved(here),
            Event::Look => {
                if here == PcpuIndex::default() && self.replenishment().is_some_and(|at| at <= now)
                {
                    self.replenishments_due();
                }
                let cpu = self.cpus.get_mut(here.get());
                if let Some(cpu) = cpu.filter(|cpu| cpu.slice_end.is_some_and(|end| end <= now)) {
                    cpu.tickled = true;
                }
            }
        }
        if self.tickled().contains(here) {
            self.schedule(here);
        }
        let cpu = self.cpus.get(here.get()).copied().unwrap_or_default();
        let mut actions = Actions {
            run: cpu.current,
            timer: None,
            kick: PcpuSet::EMPTY,
        };
        for other in self.tickled().iter().filter(|other| !told.contains(*other)) {
            actions.kick = actions.kick.with(other);
        }
        let mut timer = cpu.slice_end;
        let replenishment = self.replenishment();
        if here == PcpuIndex::default() {
            timer = timer.into_iter().chain(replenishment).min();
            self.armed = replenishment;
        } else if replenishment.is_some_and(|at| self.armed.is_none_or(|armed| at < armed)) {
            actions.kick = actions.kick.with(PcpuIndex::default());
            self.armed = replenishment;
        }
        actions.timer = timer.map(Instant::from_ticks);
        actions
    }

    fn standing(&self, vcpu: VcpuIndex) -> Option<Standing> {
        let unit = self.units.get(vcpu.get())?;
        Some(Standing {
            level: Level::FIRST.up(unit.level),
            deadline: Instant::from_ticks(unit.deadline),
            left: Duration::from_ticks(unit.budget),
        })
    }

    fn pcpus(&self) -> usize {
        self.cpus.len()
    }
}

impl Reference {
    fn tickled(&self) -> PcpuSet {
        let told = self.cpus.iter().enumerate().filter(|(_, cpu)| cpu.tickled);
        told.fold(PcpuSet::EMPTY, |set, (index, _)| {
            set.with(PcpuIndex::new(index as u8))
        })
    }
}
