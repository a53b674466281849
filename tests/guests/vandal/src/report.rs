//! What was tried and what came of it.

use core::fmt::{self, Write};

use board::fault::{Fault, FaultClass};
use board::println;
use heapless::{String, Vec};

/// The answer to one probe.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// Foreign data was read, or foreign state was changed.
    Breach,
    /// A fault was taken; for aborts with the fault status code.
    Fault(FaultClass, u8),
    /// An abort whose FAR_EL1 is not the address that was used: contained, but wrongly told.
    WrongFar,
    /// The call came back with this value.
    Returned(i64),
    /// The read gave zero.
    ReadsZero,
    /// Something that is the guest's own answered.
    Works,
    /// Nothing could be noticed afterwards.
    NoEffect,
}

impl Answer {
    /// The answer that a fault is. `address` is what FAR_EL1 has to hold, where it is known.
    pub fn of_fault(fault: Fault, address: Option<u64>) -> Self {
        let class = fault.class();
        if !matches!(class, FaultClass::DataAbort | FaultClass::InstructionAbort) {
            return Self::Fault(class, 0);
        }
        match address {
            Some(address) if fault.has_address() && fault.address != address => Self::WrongFar,
            _ => Self::Fault(class, fault.status()),
        }
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Breach => f.write_str("BREACH"),
            Self::Fault(class @ (FaultClass::DataAbort | FaultClass::InstructionAbort), status) => {
                write!(f, "{class} {status:#04x}")
            }
            Self::Fault(class, _) => write!(f, "{class}"),
            Self::WrongFar => f.write_str("abort with a wrong FAR"),
            Self::Returned(value @ ..0) => write!(f, "refused ({value})"),
            Self::Returned(value) => write!(f, "returned {value:#x}"),
            Self::ReadsZero => f.write_str("reads zero"),
            Self::Works => f.write_str("works"),
            Self::NoEffect => f.write_str("no effect"),
        }
    }
}

/// All attacks together.
#[derive(Default)]
pub struct Tally {
    tried: u64,
    breaches: u64,
}

impl Tally {
    /// How many attacks reached something foreign.
    pub fn breaches(&self) -> u64 {
        self.breaches
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { tried, breaches } = self;
        write!(
            f,
            "tried {tried}, contained {}, breaches {breaches}",
            tried - breaches
        )
    }
}

/// The most characters of a line, the comma of a continued one left out.
const LINE_LENGTH: usize = 98;
type Line = String<LINE_LENGTH>;

/// Kinds of answers that one line tells apart; further kinds are only counted.
const KINDS: usize = 4;

/// One attack: many probes, one line.
#[derive(Default)]
pub struct Attack {
    answers: Vec<(Answer, u64), KINDS>,
    others: u64,
    breaches: u64,
    first_breach: Option<(u64, u64)>,
}

impl Attack {
    /// Counts one answer.
    pub fn add(&mut self, answer: Answer) {
        self.add_many(answer, 1);
    }

    /// Counts the same answer to several probes.
    pub fn add_many(&mut self, answer: Answer, count: u64) {
        if answer == Answer::Breach {
            self.breaches += count;
        } else if let Some((_, seen)) = self.answers.iter_mut().find(|(seen, _)| *seen == answer) {
            *seen += count;
        } else if self.answers.push((answer, count)).is_err() {
            self.others += count;
        }
    }

    /// Counts a breach, and keeps the first with its place (an address or an encoding) and what was seen there.
    pub fn add_breach(&mut self, place: u64, seen: u64) {
        self.first_breach.get_or_insert((place, seen));
        self.add(Answer::Breach);
    }

    /// Prints the attack's line and adds it to the tally. An attack without probes (nothing foreign there) prints nothing.
    pub fn finish(self, tally: &mut Tally, what: fmt::Arguments<'_>) {
        let tried =
            self.breaches + self.others + self.answers.iter().map(|(_, count)| count).sum::<u64>();
        if tried == 0 {
            return;
        }
        tally.tried += tried;
        tally.breaches += self.breaches;
        self.print(what);
        if let Some((place, seen)) = self.first_breach {
            println!("vandal:   the first breach was at {place:#x}: {seen:#x}");
        }
    }

    /// Prints what was tried and all answers, a breach first, in as many lines as they need.
    fn print(&self, what: fmt::Arguments<'_>) {
        let breach = (self.breaches > 0).then_some((Answer::Breach, self.breaches));
        let mut line = Line::new();
        // A line that is too long is cut, which none is: the longest `what` leaves room for each answer.
        let _ = write!(line, "vandal: {what} -> ");
        let mut separator = "";
        let mut put = |answer: fmt::Arguments<'_>| {
            let mut text = Line::new();
            let _ = write!(text, "{answer}");
            if line.len() + separator.len() + text.len() > LINE_LENGTH {
                println!("{line},");
                line.clear();
                separator = "vandal:   ";
            }
            let _ = write!(line, "{separator}{text}");
            separator = ", ";
        };
        for (answer, count) in breach.iter().chain(&self.answers) {
            match count {
                1 => put(format_args!("{answer}")),
                _ => put(format_args!("{answer} x{count}")),
            }
        }
        if self.others > 0 {
            put(format_args!("other x{}", self.others));
        }
        println!("{line}");
    }
}
