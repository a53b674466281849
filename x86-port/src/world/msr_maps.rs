//! Which MSRs exit: a map for each partition, by its CPU policy and by whether it shares its physical CPUs.

use core::sync::atomic::{AtomicU64, Ordering};

use model::PartitionId;
use static_cell::ConstStaticCell;
use x86_port::policy::msr::{self, Map};

use crate::SYSTEM;
use crate::early::stop;
use crate::storage::PARTITIONS;

/// The maps as a vendor's extension has them, and where they are.
pub struct MsrMaps<M> {
    maps: [ConstStaticCell<M>; PARTITIONS],
    at: [AtomicU64; PARTITIONS],
}

impl<M: Map> MsrMaps<M> {
    /// Nothing is filled yet.
    pub const fn new() -> Self {
        Self {
            maps: [const { ConstStaticCell::new(M::BLANK) }; PARTITIONS],
            at: [const { AtomicU64::new(0) }; PARTITIONS],
        }
    }

    /// Fills them. Called once, by the boot CPU.
    pub fn prepare(&'static self) {
        for ((config, map), at) in SYSTEM.partitions.iter().zip(&self.maps).zip(&self.at) {
            let map = map.take();
            if let Err(index) = msr::fill(map, &config.cpu_policy, config.shares()) {
                stop(format_args!("MSR {index:#x} cannot be passed through"));
            }
            at.store((&raw const *map) as u64, Ordering::Release);
        }
    }

    /// Physical address of a partition's.
    pub fn of(&self, partition: PartitionId) -> u64 {
        let Some(at) = self.at.get(usize::from(partition.get())) else {
            stop(format_args!("{partition:?} is none of this system"));
        };
        at.load(Ordering::Acquire)
    }
}
