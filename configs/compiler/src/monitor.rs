//! What is done about a partition that fails, and who may do it, as far as the system file asks for more than `on_fault` says.

use model::monitor::Class;
use model::partition::FaultPolicy;
use toml::Spanned;

use crate::raw::RawPartition;

/// A partition's part in the health monitor. Times are in nanoseconds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Monitor {
    /// The answers to single classes, in the order of [`Class::ALL`].
    pub answers: [Option<FaultPolicy>; Class::COUNT],
    pub limit: Option<u32>,
    pub back_off: u64,
    /// The system ends when the limit is reached; otherwise the partition stops.
    pub ends_system: bool,
    pub watchdog: Option<u64>,
    /// It waits for another partition to start it.
    pub held: bool,
    pub delay: u64,
    /// Names of the partitions that it may control.
    pub may_control: Vec<String>,
}

impl Monitor {
    /// What the system file says of a partition.
    pub fn of(raw: &RawPartition) -> Self {
        let on_fault = raw.on_fault.as_ref().map(Spanned::get_ref);
        let start = raw.start.as_ref();
        let time = |time: Option<&Spanned<u64>>| time.map_or(0, |time| *time.get_ref());
        let at_limit = on_fault.and_then(|answer| answer.then.as_ref());
        Self {
            answers: raw
                .on
                .as_ref()
                .map_or_else(Default::default, |on| on.answers),
            limit: on_fault
                .and_then(|answer| answer.limit.as_ref())
                .map(|limit| *limit.get_ref()),
            back_off: time(on_fault.and_then(|answer| answer.back_off.as_ref())),
            ends_system: at_limit.is_some_and(|then| *then.get_ref() == FaultPolicy::StopSystem),
            watchdog: raw.watchdog.as_ref().map(|period| *period.get_ref()),
            held: start.is_some_and(|start| !start.automatic),
            delay: time(start.and_then(|start| start.delay.as_ref())),
            may_control: raw
                .may_control
                .iter()
                .map(|name| name.get_ref().clone())
                .collect(),
        }
    }

    /// True when `on_fault` alone says all there is.
    pub fn is_trivial(&self) -> bool {
        *self == Self::default()
    }

    /// As Rust source. `place` gives a partition's place in the system.
    pub fn source(&self, place: impl Fn(&str) -> Option<usize>) -> String {
        let policy = |policy: FaultPolicy| format!("model::partition::FaultPolicy::{policy:?}");
        let answers = self.answers.map(|answer| {
            answer.map_or("None".to_owned(), |answer| {
                format!("Some({})", policy(answer))
            })
        });
        let at_limit = if self.ends_system {
            FaultPolicy::StopSystem
        } else {
            FaultPolicy::Stop
        };
        let rights = self.may_control.iter().filter_map(|name| place(name));
        let rights: Vec<String> = rights
            .map(|index| format!("model::PartitionId::new({index})"))
            .collect();
        format!(
            "model::monitor::Monitor {{ answers: [{}], limit: {:?}, back_off: {}, at_limit: {}, watchdog: {:?}, automatic: {}, delay: {}, \
             may_control: &[{}] }}",
            answers.join(", "),
            self.limit,
            self.back_off,
            policy(at_limit),
            self.watchdog,
            !self.held,
            self.delay,
            rights.join(", ")
        )
    }
}
