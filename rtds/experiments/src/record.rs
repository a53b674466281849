//! A schedule as a simulation shows it.

use embassy_time::Instant;
use rtds::sim::{Observer, Runs};
use rtds::{PcpuIndex, Standing, VcpuIndex};

use crate::{Mark, MarkKind, Run, Schedule};

/// Records who runs where, and what happens to whom.
#[derive(Debug, Default)]
pub struct Recorder {
    runs: Runs,
    marks: Vec<Mark>,
    standings: Vec<Option<Standing>>,
}

impl Recorder {
    /// What was recorded, under a name and a title.
    pub fn schedule(self, name: &str, title: &str, vcpus: &[&str], pcpus: usize) -> Schedule {
        let runs = self.runs.0.iter().map(|run| Run {
            vcpu: run.vcpu.get(),
            pcpu: run.pcpu.get(),
            from: run.from.as_ticks(),
            to: run.to.as_ticks(),
        });
        Schedule {
            name: name.to_owned(),
            title: title.to_owned(),
            vcpus: vcpus.iter().map(|name| (*name).to_owned()).collect(),
            pcpus,
            runs: runs.collect(),
            marks: self.marks,
        }
    }

    fn mark(&mut self, vcpu: VcpuIndex, at: Instant, kind: MarkKind) {
        self.marks.push(Mark {
            vcpu: vcpu.get(),
            at: at.as_ticks(),
            kind,
        });
    }
}

impl Observer for Recorder {
    fn ran(&mut self, pcpu: PcpuIndex, vcpu: VcpuIndex, from: Instant, to: Instant) {
        self.runs.ran(pcpu, vcpu, from, to);
    }

    fn awake(&mut self, vcpu: VcpuIndex, awake: bool, at: Instant) {
        let kind = if awake {
            MarkKind::Wake
        } else {
            MarkKind::Block
        };
        self.mark(vcpu, at, kind);
    }

    fn stands(&mut self, vcpu: VcpuIndex, standing: Standing, at: Instant) {
        if self.standings.len() <= vcpu.get() {
            self.standings.resize(vcpu.get() + 1, None);
        }
        let before = self.standings[vcpu.get()].replace(standing);
        let Some(before) = before else { return };
        if before.deadline != standing.deadline {
            self.mark(vcpu, at, MarkKind::Replenish);
        } else if standing.level > before.level
            || (standing.left.as_ticks() == 0 && before.left.as_ticks() > 0)
        {
            self.mark(vcpu, at, MarkKind::BudgetEnd);
        }
    }

    fn wants_standings(&self) -> bool {
        true
    }
}
