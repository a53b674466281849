//! The trace in a report.

use core::ops::Range;

use super::dearest::WINDOW;
use super::{Event, ROOM, Ring, SELDOM};
use crate::report::Line;

/// Events in a line.
pub(super) const IN_A_LINE: usize = 4;
/// Where the lines of a ring begin, behind one on the ring itself: those of events that come seldom and have gone, of all, of those around the dearest exit; and the
/// line on that exit.
const KEPT: usize = 1;
const EVENTS: usize = KEPT + SELDOM.div_ceil(IN_A_LINE);
const AROUND: usize = EVENTS + ROOM.div_ceil(IN_A_LINE);
const DEAREST: usize = AROUND + WINDOW.div_ceil(IN_A_LINE);
const LINES: usize = DEAREST + 1;

/// A report's line on the trace: `index` counts the lines of all rings, whose times are of a counter of `frequency` Hz; one that there is nothing to say in is
/// empty. False behind the last.
pub fn report(rings: &[Ring], frequency: u64, index: usize, line: &mut Line) -> bool {
    let (pcpu, part) = (index / LINES, index % LINES);
    let Some(ring) = rings.get(pcpu) else {
        return false;
    };
    let all = &ring.all;
    match part {
        _ if all.count() == 0 => {}
        0 => line.put(format_args!(
            "report trace pcpu={pcpu} frequency={frequency} events={}\n",
            all.count(),
        )),
        KEPT..EVENTS => {
            let numbers = part_of(ring.seldom.numbers(), part - KEPT);
            let kept = numbers.filter_map(|number| ring.lost(number));
            events("kept", pcpu, kept, line);
        }
        EVENTS..AROUND => {
            let numbers = part_of(all.numbers(), part - EVENTS);
            let latest = numbers.filter_map(|number| all.get(number));
            events("events", pcpu, latest, line);
        }
        AROUND..DEAREST => {
            let numbers = part_of(ring.dearest.numbers(all), part - AROUND);
            let around = numbers.filter_map(|number| ring.dearest.get(all, number));
            events("around", pcpu, around, line);
        }
        _ => events("dearest", pcpu, ring.dearest.exit(all).into_iter(), line),
    }
    true
}

/// The numbers of the events in a line.
fn part_of(Range { start, end }: Range<u64>, part: usize) -> Range<u64> {
    let first = start + (part * IN_A_LINE) as u64;
    first..end.min(first + IN_A_LINE as u64)
}

/// The events of a line, `word` saying what they are.
fn events(word: &str, pcpu: usize, events: impl Iterator<Item = Event>, line: &mut Line) {
    let mut events = events.peekable();
    if events.peek().is_none() {
        return;
    }
    line.put(format_args!("report {word} pcpu={pcpu}"));
    for event in events {
        line.put(format_args!(" {event}"));
    }
    line.put(format_args!("\n"));
}
