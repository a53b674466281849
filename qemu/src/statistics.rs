//! The hypervisor's report of what each partition has done, read from its `report` lines.

use std::collections::BTreeMap;

use crate::trace::Ring;

/// Everything one report says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Partitions in the order of the system file.
    pub partitions: Vec<PartitionStatistics>,
    /// For how long interrupts were masked at most, in ticks, on each physical CPU that measures it: an image with the feature `masked` does.
    pub masked: Vec<Masked>,
    /// What each physical CPU did last: an image with the feature `trace` says so.
    pub trace: Vec<Ring>,
}

/// The longest time for which a physical CPU did not look for interrupts, guests excepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Masked {
    /// In ticks of the system counter.
    pub longest: u64,
    /// When it ended, in ticks.
    pub end: u64,
    /// Why the guest had been left: `syndrome=` with `ESR_EL2`, or `interrupt=` with what was acknowledged.
    pub cause: String,
}

/// One partition in a report.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PartitionStatistics {
    /// Name in the system file.
    pub name: String,
    /// `running`, `stopped`, …
    pub state: String,
    /// How often it has been started again.
    pub restarts: u64,
    /// How often it did what it may not.
    pub faults: u64,
    /// What it asked of its interrupt controller that is not there or not its own: accesses to `registers`, and commands to its ITS by kind.
    pub refused: BTreeMap<String, u64>,
    /// Exits by kind; kinds that never happened are left out.
    pub exits: Vec<ExitStatistics>,
    /// The turns of its virtual CPUs, in their order; empty when the image has no scheduler.
    pub turns: Vec<TurnStatistics>,
}

/// What one virtual CPU's scheduler counted. Times are in nanoseconds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TurnStatistics {
    /// The physical CPU.
    pub pcpu: u64,
    /// Counters by name; those that its pool does not have, or not yet, are left out.
    pub counters: BTreeMap<String, u64>,
}

/// One kind of exit of one partition. Times are ticks of the system counter: with a 1 GHz counter under `-icount shift=0` one tick
/// is one instruction.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExitStatistics {
    /// Name of the kind.
    pub kind: String,
    /// How often it happened.
    pub count: u64,
    /// How many of them were answered on a fixed path: they are not timed.
    pub short: u64,
    /// Sum over the others.
    pub total: u64,
    /// Half of them took no longer.
    pub p50: u64,
    /// 999 of 1000 took no longer.
    pub p999: u64,
    /// The dearest.
    pub max: u64,
}

impl Statistics {
    /// Reads the last complete report in the hypervisor's text: the lines before the last `report end`, back to the end of the
    /// report before it. `None` when there is no complete report or a line of it is malformed.
    pub fn parse(text: &str) -> Option<Self> {
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        let end = lines.iter().rposition(|line| *line == "report end")?;
        let start = lines[..end]
            .iter()
            .rposition(|line| *line == "report end")
            .map_or(0, |before| before + 1);
        let mut statistics = Self::default();
        for line in &lines[start..end] {
            if let Some(fields) = line.strip_prefix("report partition ") {
                let fields = Fields(fields);
                statistics.partitions.push(PartitionStatistics {
                    name: fields.text("name")?.to_owned(),
                    state: fields.text("state")?.to_owned(),
                    restarts: fields.number("restarts")?,
                    faults: fields.number("faults")?,
                    refused: BTreeMap::new(),
                    exits: Vec::new(),
                    turns: Vec::new(),
                });
            } else if let Some(fields) = line.strip_prefix("report turns ") {
                let fields = Fields(fields);
                let partition = statistics.of(fields.text("partition")?)?;
                partition.turns.push(TurnStatistics {
                    pcpu: fields.number("pcpu")?,
                    counters: fields.numbers(),
                });
            } else if let Some(fields) = line.strip_prefix("report masked ") {
                statistics.masked.push(Masked {
                    longest: Fields(fields).number("longest")?,
                    end: Fields(fields).number("end")?,
                    cause: fields.split_whitespace().last()?.to_owned(),
                });
            } else if let Some(fields) = line.strip_prefix("report refused ") {
                let fields = Fields(fields);
                let partition = statistics.of(fields.text("partition")?)?;
                partition.refused.extend(fields.numbers());
            } else if let Some(fields) = line.strip_prefix("report trace ") {
                statistics.trace.push(Ring {
                    pcpu: usize::try_from(Fields(fields).number("pcpu")?).ok()?,
                    frequency: Fields(fields).number("frequency")?,
                    count: Fields(fields).number("events")?,
                    ..Ring::default()
                });
            } else if let Some((list, fields)) = events(line) {
                let pcpu = Fields(fields).number("pcpu")?;
                let mut rings = statistics.trace.iter_mut();
                let ring = rings.find(|ring| ring.pcpu as u64 == pcpu)?;
                for event in fields.split_whitespace().skip(1) {
                    let event = event.parse().ok()?;
                    match list {
                        "kept" => ring.kept.push(event),
                        "events" => ring.events.push(event),
                        "around" => ring.around.push(event),
                        _ => ring.dearest = Some(event),
                    }
                }
            } else if let Some(fields) = line.strip_prefix("report exits ") {
                let fields = Fields(fields);
                let partition = statistics.of(fields.text("partition")?)?;
                partition.exits.push(ExitStatistics {
                    kind: fields.text("kind")?.to_owned(),
                    count: fields.number("count")?,
                    short: fields.number("short").unwrap_or(0),
                    total: fields.number("total")?,
                    p50: fields.number("p50")?,
                    p999: fields.number("p999")?,
                    max: fields.number("max")?,
                });
            }
        }
        Some(statistics)
    }

    fn of(&mut self, name: &str) -> Option<&mut PartitionStatistics> {
        let mut partitions = self.partitions.iter_mut();
        partitions.find(|partition| partition.name == name)
    }

    /// The partition with this name.
    pub fn partition(&self, name: &str) -> Option<&PartitionStatistics> {
        self.partitions
            .iter()
            .find(|partition| partition.name == name)
    }
}

impl PartitionStatistics {
    /// A counter of a virtual CPU's turns.
    pub fn counter(&self, vcpu: usize, name: &str) -> Option<u64> {
        self.turns.get(vcpu)?.counters.get(name).copied()
    }

    /// The kind of exit that usually costs most. Not the one with the highest maximum: on QEMU that tells when it switched CPUs.
    pub fn dearest(&self) -> Option<&ExitStatistics> {
        self.exits.iter().max_by_key(|exit| exit.p50)
    }

    /// All exits of all kinds.
    pub fn exit_count(&self) -> u64 {
        self.exits.iter().map(|exit| exit.count).sum()
    }
}

/// A line with events: which ones, and what else it says.
fn events(line: &str) -> Option<(&str, &str)> {
    let (list, fields) = line.strip_prefix("report ")?.split_once(' ')?;
    let lists = ["kept", "events", "around", "dearest"];
    lists.contains(&list).then_some((list, fields))
}

/// `key=value` pairs separated by blanks.
struct Fields<'a>(&'a str);

impl<'a> Fields<'a> {
    fn text(&self, key: &str) -> Option<&'a str> {
        self.0
            .split_whitespace()
            .filter_map(|pair| pair.split_once('='))
            .find(|(k, _)| *k == key)
            .map(|(_, value)| value)
    }

    /// All numbers but those that say of whom they are.
    fn numbers(&self) -> BTreeMap<String, u64> {
        let pairs = self.0.split_whitespace();
        let pairs = pairs.filter_map(|pair| pair.split_once('='));
        pairs
            .filter(|(key, _)| !["vcpu", "pcpu"].contains(key))
            .filter_map(|(key, value)| Some((key.to_owned(), value.parse().ok()?)))
            .collect()
    }

    fn number(&self, key: &str) -> Option<u64> {
        self.text(key)?.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPORT: &str = "boot line\n\
        report partition name=linux state=running restarts=1 faults=2\n\
        report exits partition=linux kind=wfi count=3 total=900 p50=300 p999=400 max=500\n\
        report exits partition=linux kind=mmio count=10 total=9000 p50=700 p999=800 max=1500\n\
        report partition name=rt state=stopped restarts=0 faults=0\n\
        report end\n";

    #[test]
    fn report_is_read_with_its_exits() {
        let statistics = Statistics::parse(REPORT).expect("complete report");
        let linux = statistics.partition("linux").expect("linux");
        assert_eq!(
            (linux.state.as_str(), linux.restarts, linux.faults),
            ("running", 1, 2)
        );
        assert_eq!(linux.exit_count(), 13);
        assert_eq!(
            linux
                .dearest()
                .map(|exit| (exit.kind.as_str(), exit.p999, exit.max)),
            Some(("mmio", 800, 1500))
        );
        assert_eq!(statistics.partition("rt").map(|rt| rt.exits.len()), Some(0));
    }

    #[test]
    fn turns_are_read_with_the_counters_that_are_there() {
        let turns = "report turns partition=rt vcpu=0 pcpu=2 entries=7 periods=3\nreport end";
        let statistics = Statistics::parse(&REPORT.replace("report end", turns));
        let rt = statistics.as_ref().and_then(|all| all.partition("rt"));
        let rt = rt.expect("a complete report with this partition");
        assert_eq!(rt.turns[0].pcpu, 2);
        assert_eq!(rt.counter(0, "entries"), Some(7));
        assert_eq!(rt.counter(0, "periods"), Some(3));
        assert_eq!(rt.counter(0, "windows"), None);
        assert_eq!(rt.counter(1, "entries"), None);
    }

    #[test]
    fn refusals_are_read_from_both_of_their_lines() {
        let refused = "report refused partition=rt registers=3\nreport refused partition=rt int=0 mapd=2\nreport end";
        let statistics = Statistics::parse(&REPORT.replace("report end", refused));
        let rt = statistics.as_ref().and_then(|all| all.partition("rt"));
        let rt = rt.expect("a complete report with this partition");
        let of = |kind: &str| rt.refused.get(kind).copied();
        assert_eq!(
            (of("registers"), of("int"), of("mapd")),
            (Some(3), Some(0), Some(2))
        );
    }

    #[test]
    fn longest_time_without_a_look_for_interrupts_is_read_with_its_cause() {
        let masked = "report masked pcpu=3 longest=1236 end=99 syndrome=0x5e000000\nreport end";
        let statistics = Statistics::parse(&REPORT.replace("report end", masked));
        let found = Masked {
            longest: 1236,
            end: 99,
            cause: "syndrome=0x5e000000".into(),
        };
        assert_eq!(statistics.map(|all| all.masked), Some(vec![found]));
    }

    #[test]
    fn events_are_read_in_their_order_and_one_that_is_none_spoils_the_report() {
        let trace = |event: &str| {
            let trace = format!(
                "report trace pcpu=1 frequency=1000 events=9\n\
                 report events pcpu=1 run/0.0@5 exit:sync/0.0=0x1@6\n\
                 report events pcpu=1 {event}\n\
                 report kept pcpu=1 fault:read/0.0@2\n\
                 report around pcpu=1 exit:sync/0.0=0x1@6 entry:mmio/0.0=0x9@7\n\
                 report dearest pcpu=1 entry:mmio/0.0=0x9@7\nreport end"
            );
            Statistics::parse(&REPORT.replace("report end", &trace)).map(|all| all.trace)
        };
        let found = trace("stop/0.0@7").expect("a complete report");
        let times: Vec<u64> = found[0].events.iter().map(|event| event.at).collect();
        assert_eq!(
            (found[0].pcpu, found[0].count, times),
            (1, 9, vec![5, 6, 7])
        );
        assert!(!found[0].is_complete());
        assert_eq!((found[0].kept.len(), found[0].around.len()), (1, 2));
        assert_eq!(found[0].dearest.as_ref(), found[0].around.last());
        assert_eq!(found[0].all().count(), 4);
        assert_eq!(trace("stop"), None);
    }

    #[test]
    fn last_of_two_reports_counts() {
        let twice = format!("{REPORT}{}", REPORT.replace("restarts=1", "restarts=7"));
        let statistics = Statistics::parse(&twice).expect("complete report");
        assert_eq!(statistics.partitions.len(), 2);
        assert_eq!(statistics.partitions[0].restarts, 7);
    }

    #[test]
    fn report_without_end_is_none() {
        assert_eq!(Statistics::parse(&REPORT.replace("report end", "")), None);
    }

    #[test]
    fn exits_of_an_unknown_partition_are_none() {
        assert_eq!(
            Statistics::parse(
                "report exits partition=x kind=wfi count=1 total=1 p50=1 p999=1 max=1\nreport end"
            ),
            None
        );
    }

    #[test]
    fn missing_or_negative_number_is_none() {
        assert_eq!(
            Statistics::parse(
                "report partition name=a state=running restarts=-1 faults=0\nreport end"
            ),
            None
        );
        assert_eq!(
            Statistics::parse("report partition name=a state=running faults=0\nreport end"),
            None
        );
    }

    #[test]
    fn lines_between_that_are_no_report_are_ignored() {
        let mixed = REPORT.replace("report end", "INFO something else\nreport end");
        assert_eq!(Statistics::parse(&mixed), Statistics::parse(REPORT));
    }
}
