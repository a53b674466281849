//! What is done about a partition that fails, and who may do it, as far as the system file asks for more than `on_fault` says.

use model::monitor::Class;
use model::partition::FaultPolicy;
use toml::Spanned;

use crate::emit::{intid, ipa};
use crate::range::AddressRange;
use crate::raw::RawPartition;
use crate::system::Partition;

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
    /// A second.
    pub interrupt_limit: Option<u32>,
    /// It waits for another partition to start it.
    pub held: bool,
    /// Names of the partitions that begin before it starts.
    pub after: Vec<String>,
    pub delay: u64,
    /// Names of the partitions that it may control.
    pub may_control: Vec<String>,
    /// Names of the partitions of which it may ask how they do.
    pub may_watch: Vec<String>,
    /// Names of the partitions whose console it may read.
    pub may_read_console: Vec<String>,
    /// Names of the partitions that are told of its failures.
    pub notify: Vec<String>,
    /// Its programs have a page of calls.
    pub has_page: bool,
}

/// The page by which a partition's programs make Bulkhead's own calls.
#[derive(Clone, Debug)]
pub(crate) struct ControlPage {
    pub range: AddressRange,
    /// The partitions that calls may be about, in the order of the system file.
    pub covers: Vec<Covered>,
}

/// A partition over which another one has a right.
#[derive(Clone, Debug)]
pub(crate) struct Covered {
    pub name: String,
    /// Its place in the system file.
    pub number: u32,
    /// What the other one may do with it.
    pub rights: &'static [&'static str],
}

impl ControlPage {
    /// The page of a partition with these rights, in a system with these partitions.
    pub fn new(range: AddressRange, monitor: &Monitor, names: &[String]) -> Self {
        let covers = (0..).zip(names).filter_map(|(number, name)| {
            let rights: &[&str] = match (
                monitor.may_control.contains(name),
                monitor.may_watch.contains(name),
                monitor.may_read_console.contains(name),
            ) {
                (true, _, true) => &["control", "console"],
                (true, _, false) => &["control"],
                (false, true, true) => &["watch", "console"],
                (false, true, false) => &["watch"],
                (false, false, true) => &["console"],
                (false, false, false) => return None,
            };
            Some(Covered {
                name: name.clone(),
                number,
                rights,
            })
        });
        Self {
            range,
            covers: covers.collect(),
        }
    }
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
            interrupt_limit: raw.interrupt_limit.as_ref().map(|limit| *limit.get_ref()),
            held: start.is_some_and(|start| !start.automatic),
            after: start.map_or(Vec::new(), |start| names(&start.after)),
            delay: time(start.and_then(|start| start.delay.as_ref())),
            may_control: names(&raw.may_control),
            may_watch: names(&raw.may_watch),
            may_read_console: names(&raw.may_read_console),
            notify: names(&raw.notify),
            has_page: raw.has_control_page(),
        }
    }

    /// True when `on_fault` alone says all there is.
    pub fn is_trivial(&self) -> bool {
        *self == Self::default()
    }

    /// As Rust source, in a system with these partitions, for the one with this page of calls.
    pub fn source(&self, partitions: &[Partition], page: Option<&ControlPage>) -> String {
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
        let find = |name: &String| {
            let mut partitions = partitions.iter().enumerate();
            partitions.find(|(_, one)| one.name == *name)
        };
        let id = |index: usize| format!("model::PartitionId::new({index})");
        let ids = |names: &[String]| {
            let ids = names.iter().filter_map(find).map(|(index, _)| id(index));
            ids.collect::<Vec<String>>().join(", ")
        };
        let notices = self.notify.iter().filter_map(find);
        let notices = notices.filter_map(|(index, told)| {
            Some(format!(
                "model::monitor::Notice {{ partition: {}, intid: {} }}",
                id(index),
                intid(told.notices?)
            ))
        });
        let notices: Vec<String> = notices.collect();
        let page = page.map_or("None".to_owned(), |page| {
            format!("Some({})", ipa(page.range.base))
        });
        format!(
            "model::monitor::Monitor {{ answers: [{}], limit: {:?}, back_off: {}, at_limit: {}, watchdog: {:?}, interrupt_limit: {:?}, automatic: {}, after: &[{}], delay: {}, \
             may_control: &[{}], may_watch: &[{}], #[cfg(feature = \"tail\")] may_read_console: &[{}], notify: &[{}], #[cfg(feature = \"control\")] page: {page} }}",
            answers.join(", "),
            self.limit,
            self.back_off,
            policy(at_limit),
            self.watchdog,
            self.interrupt_limit,
            !self.held,
            ids(&self.after),
            self.delay,
            ids(&self.may_control),
            ids(&self.may_watch),
            ids(&self.may_read_console),
            notices.join(", ")
        )
    }
}

fn names(names: &[Spanned<String>]) -> Vec<String> {
    names.iter().map(|name| name.get_ref().clone()).collect()
}
