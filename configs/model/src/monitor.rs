//! What is done about a partition that fails, and who may do it: the part of a [`Partition`](crate::partition::Partition) that only some
//! systems need.

#[cfg(feature = "control")]
use crate::ids::Ipa;
use crate::ids::{IntId, PartitionId};
use crate::partition::FaultPolicy;

/// Kinds of abnormal events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Class {
    /// An access or a jump to what the partition does not own.
    IllegalAccess = 0,
    /// An instruction or a register that its CPUs do not have.
    UndefinedTrap = 1,
    /// A call that the system file does not grant it, or that nobody defines in Bulkhead's own range.
    HypercallAbuse = 2,
    /// A device of the partition was refused at its IOMMU.
    IommuFault = 3,
    /// It did not say in time that it is alive.
    Watchdog = 4,
    /// Its own software says that it has failed.
    GuestPanic = 5,
    /// More interrupts than its limit came to it, or doorbells from it.
    InterruptStorm = 6,
    /// A virtual CPU used its budget up, or did not get its time.
    MissedBudget = 7,
}

impl Class {
    /// How many there are.
    pub const COUNT: usize = 8;

    /// All of them, in the order of their numbers.
    pub const ALL: [Self; Self::COUNT] = [
        Self::IllegalAccess,
        Self::UndefinedTrap,
        Self::HypercallAbuse,
        Self::IommuFault,
        Self::Watchdog,
        Self::GuestPanic,
        Self::InterruptStorm,
        Self::MissedBudget,
    ];

    /// The word that reports use.
    pub const fn name(self) -> &'static str {
        match self {
            Self::IllegalAccess => "illegal-access",
            Self::UndefinedTrap => "undefined-trap",
            Self::HypercallAbuse => "hypercall-abuse",
            Self::IommuFault => "iommu-fault",
            Self::Watchdog => "watchdog",
            Self::GuestPanic => "guest-panic",
            Self::InterruptStorm => "interrupt-storm",
            Self::MissedBudget => "missed-budget",
        }
    }
}

/// What is done about a partition's failures. Times are in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Monitor {
    /// The answer to each class, by [`Class`] as a number, where the system file names one.
    pub answers: [Option<FaultPolicy>; Class::COUNT],
    /// How often it is started again after a failure; `None`: without limit.
    pub limit: Option<u32>,
    /// How long such a restart waits.
    pub back_off: u64,
    /// What comes instead of one restart too many: [`FaultPolicy::Stop`] or [`FaultPolicy::StopSystem`].
    pub at_limit: FaultPolicy,
    /// It must say within this time that it is alive.
    pub watchdog: Option<u64>,
    /// More interrupts a second than this are a storm.
    pub interrupt_limit: Option<u32>,
    /// False when it waits until another partition starts it.
    pub automatic: bool,
    /// The partitions that begin to run before it starts the first time.
    pub after: &'static [PartitionId],
    /// How much later than those, or than the system, it starts.
    pub delay: u64,
    /// The partitions whose life it may control.
    pub may_control: &'static [PartitionId],
    /// The partitions of which it may ask how they do.
    pub may_watch: &'static [PartitionId],
    /// The partitions whose console it may read.
    #[cfg(feature = "tail")]
    pub may_read_console: &'static [PartitionId],
    /// Who is told of its failures.
    pub notify: &'static [Notice],
    /// The page by which its programs make Bulkhead's own [calls](crate::call): in its view and not in its memory.
    #[cfg(feature = "control")]
    pub page: Option<Ipa>,
}

/// A partition that is told of another one's failures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Notice {
    /// Which one.
    pub partition: PartitionId,
    /// The interrupt that it gets: an SPI of its virtual distributor that nothing else raises.
    pub intid: IntId,
}

impl Monitor {
    /// The answer to a class, in a partition with `on_fault`: that is the answer to what its architecture defines no good end for. An undefined
    /// instruction and a call that is refused have one, and are left to the guest.
    pub const fn answer(&self, class: Class, on_fault: FaultPolicy) -> FaultPolicy {
        match self.answers[class as usize] {
            Some(answer) => answer,
            None => match class {
                Class::UndefinedTrap | Class::HypercallAbuse => FaultPolicy::Inject,
                Class::IllegalAccess
                | Class::IommuFault
                | Class::Watchdog
                | Class::GuestPanic
                | Class::InterruptStorm
                | Class::MissedBudget => on_fault,
            },
        }
    }
}
