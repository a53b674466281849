//! Statistics as text, one line at a time: a report is as long as it is, the console's ring is not.

use core::fmt::{self, Write};

use crate::exit::ExitKind;
use crate::machine::Machine;
use crate::partition::Partition;
use crate::pool;
use crate::vcpu::Hypervisor;

/// A line that is cut off rather than too long; empty at first.
#[derive(Debug, Default)]
pub struct Line {
    text: heapless::String<{ Self::LONGEST }>,
}

impl Line {
    /// Longest line in bytes.
    pub const LONGEST: usize = 340;

    /// Appends; what does not fit is left out.
    pub fn put(&mut self, arguments: fmt::Arguments<'_>) {
        // An error means that the line is full: it is cut off there.
        let _ = self.text.write_fmt(arguments);
    }

    /// What it says.
    pub fn bytes(&self) -> &[u8] {
        self.text.as_bytes()
    }
}

/// How far a report has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    partition: usize,
    /// 0 is the partition's own line; then come the kinds of exits, then the turns of its virtual CPUs.
    line: usize,
    /// The report is of registers, whose lines are others.
    #[cfg(feature = "registers")]
    wanted: Option<crate::inspect::Wanted>,
}

impl Cursor {
    /// The first line.
    pub const START: Self = Self {
        partition: 0,
        line: 0,
        #[cfg(feature = "registers")]
        wanted: None,
    };

    /// The first line of a report of registers.
    #[cfg(feature = "registers")]
    pub(crate) const fn registers(wanted: crate::inspect::Wanted) -> Self {
        Self {
            wanted: Some(wanted),
            ..Self::START
        }
    }

    /// When this line must be said at the latest, if it may become another one until then.
    #[cfg(feature = "registers")]
    pub(crate) fn waits_until(&self, partitions: &[Partition], now: u64) -> Option<u64> {
        let wanted = self.wanted.as_ref()?;
        let ready = wanted.is_ready((self.partition, self.line), partitions, now);
        (!ready).then(|| wanted.deadline())
    }

    /// The line here, empty when there is nothing to say, and where the report goes on.
    pub fn line<M: Machine>(self, hypervisor: &Hypervisor<M>) -> (Line, Option<Self>) {
        #[cfg(feature = "registers")]
        if let Some(wanted) = &self.wanted {
            let (line, next) = wanted.line((self.partition, self.line), hypervisor.partitions);
            let next = next.map(|(partition, line)| Self {
                partition,
                line,
                ..self
            });
            return (line, next);
        }
        let mut line = Line::default();
        let below = Self {
            line: self.line + 1,
            ..self
        };
        let Some(partition) = hypervisor.partitions.get(self.partition) else {
            #[cfg(any(feature = "masked", feature = "trace"))]
            if of_pcpus(hypervisor, self.line, &mut line) {
                return (line, Some(below));
            }
            line.put(format_args!("{}report end\n", pool::SUMMARY));
            return (line, None);
        };
        let name = partition.config.name;
        let Some(before) = self.line.checked_sub(1) else {
            let power = partition.power.lock();
            line.put(format_args!(
                "report partition name={name} state={} restarts={} faults={}\n",
                power.lifecycle().name(),
                power.restarts(),
                partition.faults(),
            ));
            #[cfg(feature = "monitor")]
            crate::monitor::report(partition, &mut line);
            return (line, Some(below));
        };
        let Some(kind) = ExitKind::ALL.get(before) else {
            let vcpu = before - ExitKind::ALL.len();
            if pool::report(partition, vcpu, &mut line) {
                return (line, Some(below));
            }
            let next = Self {
                partition: self.partition + 1,
                ..Self::START
            };
            refused(partition, &mut line);
            return (line, Some(next));
        };
        let cost = partition.cost(*kind);
        if cost.count() > 0 {
            line.put(format_args!(
                "report exits partition={name} kind={} count={} short={} total={} p50={} p999={} max={}\n",
                kind.name(),
                cost.count(),
                cost.short,
                cost.total,
                cost.p50,
                cost.p999,
                cost.max,
            ));
        }
        (line, Some(below))
    }
}

/// Lines behind those of the partitions, on what pCPUs have recorded. False behind the last.
#[cfg(any(feature = "masked", feature = "trace"))]
fn of_pcpus<M: Machine>(hypervisor: &Hypervisor<M>, index: usize, line: &mut Line) -> bool {
    #[cfg(feature = "masked")]
    if crate::masked::report(index, line) {
        return true;
    }
    #[cfg(all(feature = "masked", feature = "trace"))]
    let index = index - crate::masked::PCPUS;
    #[cfg(feature = "trace")]
    return crate::trace::report(
        hypervisor.machine.rings(),
        hypervisor.machine.frequency(),
        index,
        line,
    );
    #[cfg(not(feature = "trace"))]
    let _ = hypervisor;
    #[cfg(not(feature = "trace"))]
    false
}

/// What it asked of its interrupt controller that is not there or not its own, if it did.
fn refused(partition: &Partition, line: &mut Line) {
    let name = partition.config.name;
    let registers = partition.unknown_registers();
    if registers > 0 {
        line.put(format_args!(
            "report refused partition={name} registers={registers}\n"
        ));
    }
    #[cfg(feature = "its")]
    refused_commands(partition, line);
}

#[cfg(feature = "its")]
fn refused_commands(partition: &Partition, line: &mut Line) {
    let commands = partition.devices.lock().gic.refused_commands();
    if commands.iter().all(|count| *count == 0) {
        return;
    }
    line.put(format_args!(
        "report refused partition={}",
        partition.config.name
    ));
    for (kind, count) in gic::its_command::KINDS.iter().zip(commands) {
        line.put(format_args!(" {kind}={count}"));
    }
    line.put(format_args!("\n"));
}

#[cfg(test)]
mod tests;
