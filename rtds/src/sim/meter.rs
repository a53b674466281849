//! Observers that measure.

use alloc::vec::Vec;

use embassy_time::{Duration, Instant};

use super::{Observer, Standing};
use crate::{PcpuIndex, VcpuIndex};

/// Measures nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Nobody;

impl Observer for Nobody {}

/// Two observers at once.
pub struct Together<'a, A, B>(pub &'a mut A, pub &'a mut B);

impl<A: Observer, B: Observer> Observer for Together<'_, A, B> {
    fn ran(&mut self, pcpu: PcpuIndex, vcpu: VcpuIndex, from: Instant, to: Instant) {
        self.0.ran(pcpu, vcpu, from, to);
        self.1.ran(pcpu, vcpu, from, to);
    }

    fn awake(&mut self, vcpu: VcpuIndex, awake: bool, at: Instant) {
        self.0.awake(vcpu, awake, at);
        self.1.awake(vcpu, awake, at);
    }

    fn stands(&mut self, vcpu: VcpuIndex, standing: Standing, at: Instant) {
        self.0.stands(vcpu, standing, at);
        self.1.stands(vcpu, standing, at);
    }

    fn wants_standings(&self) -> bool {
        self.0.wants_standings() || self.1.wants_standings()
    }
}

/// What one virtual CPU ran in each window of a length.
#[derive(Clone, Debug)]
pub struct PerWindow {
    vcpu: VcpuIndex,
    start: u64,
    length: u64,
    /// For each window, in nanoseconds. The last one may not be over.
    pub ran: Vec<u64>,
}

impl PerWindow {
    /// Windows of `length`, which is not zero, from `start` on.
    pub fn new(vcpu: VcpuIndex, start: Instant, length: Duration) -> Self {
        Self {
            vcpu,
            start: start.as_ticks(),
            length: length.as_ticks().max(1),
            ran: Vec::new(),
        }
    }
}

impl Observer for PerWindow {
    fn ran(&mut self, _: PcpuIndex, vcpu: VcpuIndex, from: Instant, to: Instant) {
        if vcpu != self.vcpu {
            return;
        }
        let mut from = from.as_ticks().max(self.start);
        while from < to.as_ticks() {
            let window = (from - self.start) / self.length;
            let end = (self.start + (window + 1) * self.length).min(to.as_ticks());
            let window = usize::try_from(window).unwrap_or(usize::MAX);
            if self.ran.len() <= window {
                self.ran.resize(window + 1, 0);
            }
            if let Some(ran) = self.ran.get_mut(window) {
                *ran += end - from;
            }
            from = end;
        }
    }
}

/// A virtual CPU on a physical one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Run {
    /// When it began.
    pub from: Instant,
    /// When it ended.
    pub to: Instant,
    /// Where.
    pub pcpu: PcpuIndex,
    /// Who.
    pub vcpu: VcpuIndex,
}

/// Who ran where and when.
#[derive(Clone, Debug, Default)]
pub struct Runs(
    /// In the order in which they ended; runs that follow one another at once are one.
    pub Vec<Run>,
);

impl Observer for Runs {
    fn ran(&mut self, pcpu: PcpuIndex, vcpu: VcpuIndex, from: Instant, to: Instant) {
        let mut latest = self.0.iter_mut().rev();
        match latest.find(|run| run.pcpu == pcpu) {
            Some(run) if run.vcpu == vcpu && run.to == from => run.to = to,
            _ => self.0.push(Run {
                from,
                to,
                pcpu,
                vcpu,
            }),
        }
    }
}

/// The longest time for which one virtual CPU was awake and did not run, and where it ran at all.
#[derive(Clone, Debug)]
pub struct Blackout {
    vcpu: VcpuIndex,
    awake: bool,
    waits_since: Option<u64>,
    /// The longest one.
    pub longest: Duration,
    /// From when to when it ran.
    pub runs: Vec<(u64, u64)>,
}

impl Blackout {
    /// Of one virtual CPU.
    pub const fn new(vcpu: VcpuIndex) -> Self {
        Self {
            vcpu,
            awake: false,
            waits_since: None,
            longest: Duration::from_ticks(0),
            runs: Vec::new(),
        }
    }

    fn served(&mut self, at: u64) {
        if let Some(since) = self.waits_since.take() {
            let waited = Duration::from_ticks(at.saturating_sub(since));
            self.longest = self.longest.max(waited);
        }
    }
}

impl Observer for Blackout {
    fn ran(&mut self, _: PcpuIndex, vcpu: VcpuIndex, from: Instant, to: Instant) {
        if vcpu == self.vcpu {
            self.served(from.as_ticks());
            self.waits_since = self.awake.then_some(to.as_ticks());
            self.runs.push((from.as_ticks(), to.as_ticks()));
        }
    }

    fn awake(&mut self, vcpu: VcpuIndex, awake: bool, at: Instant) {
        if vcpu == self.vcpu {
            self.awake = awake;
            self.waits_since = awake.then_some(at.as_ticks());
        }
    }
}
