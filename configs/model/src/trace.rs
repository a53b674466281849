//! An event of the trace: two words of 64 bits.
//!
//! | word | bits | |
//! |---|---|---|
//! | 0 | 55 to 0 | when, in ticks of the system counter |
//! | 0 | 63 to 56 | [`Kind`] |
//! | 1 | 47 to 0 | what the kind says |
//! | 1 | 55 to 48 | which virtual CPU; 255: none |
//! | 1 | 63 to 56 | which partition; 255: none |

use core::fmt;

use crate::exit::ExitKind;
use crate::ids::{PartitionId, VcpuId};

/// What happened: the upper four bits are a group, the lower ones say more within it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind(u8);

/// Why a guest was left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Reason {
    /// Something that it did. The value is `ESR_EL2`; on a PC the vendor's number of the exit.
    Synchronous = 0,
    /// An interrupt. The value is what the acknowledge register said; on a PC as for [`Synchronous`](Self::Synchronous).
    Interrupt = 1,
    /// An asynchronous abort.
    SystemError = 2,
}

/// What was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Access {
    /// A read.
    Read = 0,
    /// A write.
    Write = 1,
    /// A jump.
    Execute = 2,
    /// The hardware does not say.
    Unknown = 3,
}

const DETAIL: u32 = 4;
const MOMENTS: [&str; 12] = [
    "wake",
    "block",
    "run",
    "stop",
    "budget-end",
    "replenish",
    "interrupt",
    "doorbell",
    "stream",
    "stray",
    "started",
    "stopped",
];
const EXIT: u8 = 1;
const ENTRY: u8 = 2;
const SHORT: u8 = 3;
const FAULT: u8 = 4;
const DMA_FAULT: u8 = 5;
#[cfg(feature = "monitor")]
const FAILED: u8 = 6;
#[cfg(feature = "x86")]
const ENTRY_ON_PC: u8 = 7;
const GROUPS: [&str; 8] = [
    "", "exit", "entry", "short", "fault", "dma", "failed", "entry",
];

impl Kind {
    /// A virtual CPU of a shared pCPU has something to do.
    pub const WAKE: Self = Self(0);
    /// It has nothing to do.
    pub const BLOCK: Self = Self(1);
    /// It has its turn.
    pub const RUN: Self = Self(2);
    /// Its turn is over.
    pub const STOP: Self = Self(3);
    /// Its budget is used up.
    pub const BUDGET_END: Self = Self(4);
    /// A period has ended while it had something to do: its budget is full again.
    pub const REPLENISH: Self = Self(5);
    /// A physical interrupt was taken while no guest ran, or delivered to one by the vectors alone. The value is its number; 0 is a call of another CPU.
    pub const INTERRUPT: Self = Self(6);
    /// It has rung. The value is the interrupt of the other end, and from bit 32 on the partition whose end that is.
    pub const DOORBELL: Self = Self(7);
    /// The stream whose access was refused: it comes right behind the fault. The value is its number.
    pub const STREAM: Self = Self(8);
    /// An interrupt that nobody owns was disabled. The value is its number.
    pub const STRAY: Self = Self(9);
    /// A partition is about to start. The value says how often it was started again before.
    pub const STARTED: Self = Self(10);
    /// A partition has stopped.
    pub const STOPPED: Self = Self(11);

    const fn group(group: u8, detail: u8) -> Self {
        Self(group << DETAIL | detail)
    }

    /// Its guest was left.
    pub const fn exit(reason: Reason) -> Self {
        Self::group(EXIT, reason as u8)
    }

    /// A guest is entered after such an exit. The value is what the exit has cost until it was answered, in ticks.
    pub const fn entry(kind: ExitKind) -> Self {
        Self::group(ENTRY, kind as u8)
    }

    /// The same on a PC.
    #[cfg(feature = "x86")]
    pub const fn entry_on_pc(kind: crate::x86::exit::ExitKind) -> Self {
        Self::group(ENTRY_ON_PC, kind as u8)
    }

    /// An exit that was answered in the short way, from its begin to its end.
    pub const fn short(kind: ExitKind) -> Self {
        Self::group(SHORT, kind as u8)
    }

    /// A guest touched what it does not own. The value is the guest physical address.
    pub const fn fault(access: Access) -> Self {
        Self::group(FAULT, access as u8)
    }

    /// A device touched what its partition does not own. The value is the address.
    pub const fn dma_fault(access: Access) -> Self {
        Self::group(DMA_FAULT, access as u8)
    }

    /// A partition has failed in another way.
    #[cfg(feature = "monitor")]
    pub const fn failed(class: crate::monitor::Class) -> Self {
        Self::group(FAILED, class as u8)
    }

    /// As it stands in the first word of an event.
    pub const fn word(self) -> u64 {
        (self.0 as u64) << KIND
    }

    /// The words for it: of the group, and what it says more.
    fn words(self) -> (&'static str, &'static str) {
        let (group, detail) = (self.0 >> DETAIL, usize::from(self.0 & ((1 << DETAIL) - 1)));
        let word = match group {
            0 => return (MOMENTS.get(detail).copied().unwrap_or("?"), ""),
            EXIT => ["sync", "interrupt", "serror"].get(detail).copied(),
            ENTRY | SHORT => ExitKind::ALL.get(detail).map(|kind| kind.name()),
            FAULT | DMA_FAULT => ["read", "write", "execute", "unknown"].get(detail).copied(),
            #[cfg(feature = "monitor")]
            FAILED => crate::monitor::Class::ALL
                .get(detail)
                .map(|class| class.name()),
            #[cfg(feature = "x86")]
            ENTRY_ON_PC => crate::x86::exit::ExitKind::ALL
                .get(detail)
                .map(|kind| kind.name()),
            _ => None,
        };
        let group = GROUPS.get(usize::from(group)).copied();
        (group.unwrap_or("?"), word.unwrap_or("?"))
    }
}

/// To whom it happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Who(u16);

impl Who {
    /// Nobody.
    pub const NOBODY: Self = Self(0xffff);
    const NONE: u8 = 0xff;

    /// A virtual CPU.
    pub const fn vcpu(partition: PartitionId, vcpu: VcpuId) -> Self {
        Self((partition.get() as u16) << 8 | vcpu.get() as u16)
    }

    /// A partition.
    pub const fn partition(partition: PartitionId) -> Self {
        Self((partition.get() as u16) << 8 | Self::NONE as u16)
    }

    /// Which partition it is or is of; `None` when it is nobody.
    pub const fn of_partition(self) -> Option<PartitionId> {
        match self.0.to_be_bytes() {
            [Self::NONE, _] => None,
            [partition, _] => Some(PartitionId::new(partition)),
        }
    }

    /// As it stands in the second word of an event.
    pub const fn word(self) -> u64 {
        (self.0 as u64) << WHO
    }

    /// What [`word`](Self::word) was of.
    pub const fn of_word(word: u64) -> Self {
        Self((word >> WHO) as u16)
    }
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.to_be_bytes() {
            [Self::NONE, _] => f.write_str("-"),
            [partition, Self::NONE] => write!(f, "{partition}"),
            [partition, vcpu] => write!(f, "{partition}.{vcpu}"),
        }
    }
}

/// An event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// When, in ticks of the system counter: the lower 56 bits are kept.
    pub at: u64,
    /// What.
    pub kind: Kind,
    /// To whom.
    pub who: Who,
    /// More of it: the lower 48 bits are kept.
    pub value: u64,
}

const KIND: u32 = 56;
const WHO: u32 = 48;

impl Event {
    /// Words of 64 bits that it takes.
    pub const WORDS: usize = 2;

    /// As it is kept: the head of this module says where what is.
    #[inline]
    pub const fn words(&self) -> [u64; Self::WORDS] {
        [
            self.at & ((1 << KIND) - 1) | self.kind.word(),
            self.value & ((1 << WHO) - 1) | self.who.word(),
        ]
    }

    /// What [`words`](Self::words) were of.
    pub const fn from_words([first, second]: [u64; Self::WORDS]) -> Self {
        Self {
            at: first & ((1 << KIND) - 1),
            kind: Kind((first >> KIND) as u8),
            who: Who::of_word(second),
            value: second & ((1 << WHO) - 1),
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (group, more) = self.kind.words();
        f.write_str(group)?;
        if !more.is_empty() {
            write!(f, ":{more}")?;
        }
        write!(f, "/{}", self.who)?;
        if self.value != 0 {
            write!(f, "={:#x}", self.value)?;
        }
        write!(f, "@{}", self.at)
    }
}

#[cfg(all(test, feature = "x86"))]
mod tests {
    extern crate std;
    use std::{format, string::ToString};

    use super::*;
    use crate::x86::exit::ExitKind;

    #[test]
    fn kinds_of_a_pc_are_printed_as_reports_name_them() {
        for kind in ExitKind::ALL {
            let event = Event {
                at: 7,
                kind: Kind::entry_on_pc(kind),
                who: Who::NOBODY,
                value: 0,
            };
            let kept = Event::from_words(event.words());
            let expected = format!("entry:{}/-@7", kind.name());
            assert_eq!((kept, kept.to_string()), (event, expected));
        }
    }
}
