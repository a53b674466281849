//! What is worth telling: the events of a system's life.

use model::{PartitionId, VcpuId};

use crate::exit::AbortCause;

/// An event, small and complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A partition's first virtual CPU is about to start.
    Started {
        /// Which one.
        partition: PartitionId,
        /// How often it was started again before.
        restarts: u64,
    },
    /// A partition has stopped.
    Stopped {
        /// Which one.
        partition: PartitionId,
    },
    /// A guest touched what it does not own.
    Fault {
        /// Whose.
        partition: PartitionId,
        /// Which virtual CPU.
        vcpu: VcpuId,
        /// What it did.
        kind: FaultKind,
        /// Guest physical address.
        address: u64,
        /// Where its program was.
        pc: u64,
        /// How many faults the partition has had, this one included.
        count: u64,
    },
    /// A partition failed in a way that has no event of its own.
    #[cfg(feature = "monitor")]
    Failed {
        /// Which one.
        partition: PartitionId,
        /// How.
        failure: crate::monitor::Failure,
        /// How many of this class it has had, this one included.
        count: u64,
    },
    /// A partition that has failed is started again, at once or after its pause.
    #[cfg(feature = "monitor")]
    Restarting {
        /// Which one.
        partition: PartitionId,
        /// Why.
        class: model::monitor::Class,
        /// Which restart after a failure this is.
        number: u32,
    },
    /// A partition that has failed is not started again.
    #[cfg(feature = "monitor")]
    LimitReached {
        /// Which one.
        partition: PartitionId,
        /// Why it would have been.
        class: model::monitor::Class,
        /// How often it was.
        restarts: u32,
    },
    /// A partition does not start before it is told to.
    #[cfg(feature = "monitor")]
    Held {
        /// Which one.
        partition: PartitionId,
    },
    /// A partition has ordered something about another one.
    #[cfg(feature = "monitor")]
    Controlled {
        /// Who.
        by: PartitionId,
        /// About whom.
        partition: PartitionId,
        /// What.
        order: crate::monitor::control::Order,
    },
    /// A partition was not started: its image is not what was built.
    #[cfg(feature = "pristine")]
    Damaged {
        /// Which one.
        partition: PartitionId,
    },
    /// A partition was not started: its file is not there, or not the one that was built.
    #[cfg(feature = "files")]
    WrongFile {
        /// Which one.
        partition: PartitionId,
        /// Where the file would lie.
        address: u64,
    },
    /// An IOMMU has something to tell.
    #[cfg(feature = "iommu")]
    Dma(crate::dma::DmaEvent),
    /// A physical interrupt that nobody owns; it was disabled.
    StrayInterrupt {
        /// Its number.
        intid: u32,
    },
}

/// What a guest did that it may not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// Read.
    Read(AbortCause),
    /// Write.
    Write(AbortCause),
    /// Jump.
    Execute(AbortCause),
    /// An asynchronous external abort, whose address is not known.
    SystemError,
}
