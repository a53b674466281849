//! What the drivers learn about each CPU when it comes up.

use crate::MAX_CPUS;
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use model::Mpidr;

/// Marks a used key; no affinity value has it.
const USED: u64 = 1 << 63;

/// A small map from affinity to a nonzero number. Each CPU adds its own entry once; any CPU may look up any entry; nothing is removed.
pub struct CpuTable {
    entries: [(AtomicU64, AtomicUsize); MAX_CPUS],
}

impl CpuTable {
    /// An empty table.
    pub const fn new() -> Self {
        Self {
            entries: [const { (AtomicU64::new(0), AtomicUsize::new(0)) }; MAX_CPUS],
        }
    }

    /// Sets the value of `cpu`; false when the table is full.
    pub(super) fn insert(&self, cpu: Mpidr, value: usize) -> bool {
        let wanted = cpu.get() | USED;
        for (key, slot) in &self.entries {
            let taken = match key.compare_exchange(0, wanted, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => wanted,
                Err(taken) => taken,
            };
            if taken == wanted {
                slot.store(value, Ordering::Release);
                return true;
            }
        }
        false
    }

    /// The value of `cpu`, if it has added one.
    pub(super) fn get(&self, cpu: Mpidr) -> Option<usize> {
        let wanted = cpu.get() | USED;
        let (_, slot) = self
            .entries
            .iter()
            .find(|(key, _)| key.load(Ordering::Acquire) == wanted)?;
        // Zero: the CPU has its entry but has not filled it yet.
        Some(slot.load(Ordering::Acquire)).filter(|&value| value != 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_zero_is_found_only_after_it_was_added() {
        let table = CpuTable::new();
        assert_eq!(table.get(Mpidr::new(0)), None);
        assert!(table.insert(Mpidr::new(0), 7));
        assert_eq!(table.get(Mpidr::new(0)), Some(7));
    }

    #[test]
    fn second_insert_of_a_cpu_replaces_its_value() {
        let table = CpuTable::new();
        assert!(table.insert(Mpidr::new(0x101), 1) && table.insert(Mpidr::new(0x101), 2));
        assert_eq!(table.get(Mpidr::new(0x101)), Some(2));
    }

    #[test]
    fn full_table_refuses_another_cpu() {
        let table = CpuTable::new();
        assert!((0..MAX_CPUS as u64).all(|cpu| table.insert(Mpidr::new(cpu), 1)));
        assert!(!table.insert(Mpidr::new(MAX_CPUS as u64), 1));
    }
}
