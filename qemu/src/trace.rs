//! The trace in a hypervisor's report: what each physical CPU did last. Only an image with the feature `trace` has one.

use std::str::FromStr;

/// The events of one physical CPU.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ring {
    /// Which one, in the order of the system.
    pub pcpu: usize,
    /// Ticks of the system counter in a second.
    pub frequency: u64,
    /// How many events there were: those before the first one of `events` are gone.
    pub count: u64,
    /// The latest ones, in the order in which they were recorded. An event that tells of a decision may have an earlier time than the one before it.
    pub events: Vec<Event>,
    /// Those that come seldom, as faults do, from before the first one of `events`.
    pub kept: Vec<Event>,
    /// The entry after the dearest exit: its detail is the exit's kind, its value what it cost in ticks.
    pub dearest: Option<Event>,
    /// The events around that.
    pub around: Vec<Event>,
}

/// Something that happened on a physical CPU: in the hypervisor's text `kind:detail/partition.vcpu=value@ticks`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Event {
    /// `run`, `exit`, `fault`, …
    pub kind: String,
    /// More of it, such as the kind of an exit; empty when there is no more.
    pub detail: String,
    /// To which partition it happened, in the order of the system.
    pub partition: Option<usize>,
    /// To which of its virtual CPUs.
    pub vcpu: Option<usize>,
    /// An address, a number, a cost: what the kind says.
    pub value: u64,
    /// When, in ticks of the system counter.
    pub at: u64,
}

impl Ring {
    /// True when it has lost none of its events.
    pub const fn is_complete(&self) -> bool {
        self.count == self.events.len() as u64
    }

    /// All that came seldom or lately.
    pub fn all(&self) -> impl Iterator<Item = &Event> {
        self.kept.iter().chain(&self.events)
    }

    /// The partition whose exit was the dearest: the entry after it may be another one's.
    pub fn author_of_dearest(&self) -> Option<usize> {
        let entry = self.dearest.as_ref()?;
        let place = self.around.iter().position(|event| event == entry)?;
        let mut before = self.around[..place].iter().rev();
        before.find(|event| event.kind == "exit")?.partition
    }

    /// Ticks as nanoseconds.
    pub fn nanoseconds(&self, ticks: u64) -> u64 {
        let nanoseconds = u128::from(ticks) * 1_000_000_000 / u128::from(self.frequency.max(1));
        u64::try_from(nanoseconds).unwrap_or(u64::MAX)
    }
}

/// The text is no event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoEvent;

impl FromStr for Event {
    type Err = NoEvent;

    fn from_str(text: &str) -> Result<Self, NoEvent> {
        let (what, at) = text.split_once('@').ok_or(NoEvent)?;
        let (kind, rest) = what.split_once('/').ok_or(NoEvent)?;
        let (kind, detail) = kind.split_once(':').unwrap_or((kind, ""));
        let (who, value) = rest.split_once('=').unwrap_or((rest, "0x0"));
        let value = value.strip_prefix("0x").ok_or(NoEvent)?;
        let (partition, vcpu) = match who.split_once('.') {
            _ if who == "-" => (None, None),
            None => (Some(who), None),
            Some((partition, vcpu)) => (Some(partition), Some(vcpu)),
        };
        let number = |text: Option<&str>| text.map(str::parse).transpose().map_err(|_| NoEvent);
        Ok(Self {
            kind: kind.to_owned(),
            detail: detail.to_owned(),
            partition: number(partition)?,
            vcpu: number(vcpu)?,
            value: u64::from_str_radix(value, 16).map_err(|_| NoEvent)?,
            at: at.parse().map_err(|_| NoEvent)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn event_of_a_virtual_cpu_of_a_partition_and_of_nobody_are_read() {
        let event = |kind: &str, detail: &str, [partition, vcpu]: [Option<usize>; 2], value, at| {
            let (kind, detail) = (kind.to_owned(), detail.to_owned());
            Ok(Event {
                kind,
                detail,
                partition,
                vcpu,
                value,
                at,
            })
        };
        for (text, expected) in [
            (
                "entry:smc/1.2=0x37@99",
                event("entry", "smc", [Some(1), Some(2)], 0x37, 99),
            ),
            ("started/3@7", event("started", "", [Some(3), None], 0, 7)),
            (
                "interrupt/-=0x1b@7",
                event("interrupt", "", [None, None], 27, 7),
            ),
        ] {
            assert_eq!(text.parse(), expected, "{text}");
        }
    }

    #[test]
    fn text_that_is_no_event_is_refused() {
        for text in [
            "",
            "run",
            "run@7",
            "run/0.0",
            "run/x@7",
            "run/0.0=7@7",
            "run/0.0=0xg@7",
            "run/0.0@-1",
        ] {
            assert_eq!(text.parse::<Event>(), Err(NoEvent), "{text}");
        }
    }

    #[test]
    fn ticks_become_nanoseconds_and_no_frequency_divides_by_zero() {
        let ring = |frequency| Ring {
            frequency,
            ..Ring::default()
        };
        assert_eq!(ring(62_500_000).nanoseconds(3), 48);
        assert_eq!(ring(1).nanoseconds(u64::MAX), u64::MAX);
        assert_eq!(ring(0).nanoseconds(1), 1_000_000_000);
    }
}
