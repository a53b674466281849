//! The policy of `dedicated` pools: a fixed assignment, one virtual CPU to one physical CPU, checked once at boot.

use model::{PartitionId, PcpuId, VcpuId};

/// The virtual CPU that owns a physical one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner {
    /// Its partition.
    pub partition: PartitionId,
    /// Which of the partition's virtual CPUs.
    pub vcpu: VcpuId,
}

/// Why an assignment is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AssignError {
    /// The system does not use such a physical CPU.
    #[error("{0:?} does not exist")]
    NoSuchPcpu(PcpuId),
    /// The physical CPU is another virtual CPU's already.
    #[error("{pcpu:?} is already owned by {owner:?}")]
    Taken {
        /// The physical CPU asked for.
        pcpu: PcpuId,
        /// Who owns it.
        owner: Owner,
    },
    /// The virtual CPU owns a physical CPU already.
    #[error("{owner:?} already owns {pcpu:?}")]
    Placed {
        /// The virtual CPU.
        owner: Owner,
        /// What it owns.
        pcpu: PcpuId,
    },
}

/// Who owns which of `PCPUS` physical CPUs. Nothing changes after boot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dedicated<const PCPUS: usize> {
    owners: [Option<Owner>; PCPUS],
}

impl<const PCPUS: usize> Default for Dedicated<PCPUS> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const PCPUS: usize> Dedicated<PCPUS> {
    /// All physical CPUs free.
    pub const fn new() -> Self {
        Self {
            owners: [None; PCPUS],
        }
    }

    /// Gives `pcpu` to `owner` for good.
    ///
    /// # Errors
    /// [`AssignError`] when there is no such physical CPU, it is taken, or `owner` has one; nothing is changed then.
    pub fn assign(&mut self, owner: Owner, pcpu: PcpuId) -> Result<(), AssignError> {
        if let Some(pcpu) = self.pcpu_of(owner) {
            return Err(AssignError::Placed { owner, pcpu });
        }
        match self.owners.get_mut(usize::from(pcpu.get())) {
            None => Err(AssignError::NoSuchPcpu(pcpu)),
            Some(Some(owner)) => Err(AssignError::Taken {
                pcpu,
                owner: *owner,
            }),
            Some(free) => {
                *free = Some(owner);
                Ok(())
            }
        }
    }

    /// Who owns `pcpu`; `None` when nobody does or there is no such physical CPU.
    pub fn owner(&self, pcpu: PcpuId) -> Option<Owner> {
        self.owners.get(usize::from(pcpu.get())).copied().flatten()
    }

    /// What `owner` owns.
    pub fn pcpu_of(&self, owner: Owner) -> Option<PcpuId> {
        let index = self.owners.iter().position(|other| *other == Some(owner))?;
        u8::try_from(index).ok().map(PcpuId::new)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn owner(partition: u8, vcpu: u8) -> Owner {
        Owner {
            partition: PartitionId::new(partition),
            vcpu: VcpuId::new(vcpu),
        }
    }

    #[test]
    fn assigned_cpu_has_its_owner_and_the_owner_its_cpu() {
        let mut dedicated = Dedicated::<4>::new();

        dedicated.assign(owner(1, 0), PcpuId::new(3)).unwrap();

        assert_eq!(dedicated.owner(PcpuId::new(3)), Some(owner(1, 0)));
        assert_eq!(dedicated.pcpu_of(owner(1, 0)), Some(PcpuId::new(3)));
        assert_eq!(dedicated.owner(PcpuId::new(0)), None);
    }

    #[test]
    fn cpu_of_another_is_refused_by_the_owners_name() {
        let mut dedicated = Dedicated::<4>::new();
        dedicated.assign(owner(0, 0), PcpuId::new(2)).unwrap();
        let refused = dedicated.assign(owner(1, 0), PcpuId::new(2));
        assert_eq!(
            refused,
            Err(AssignError::Taken {
                pcpu: PcpuId::new(2),
                owner: owner(0, 0)
            })
        );
    }

    #[test]
    fn second_cpu_for_one_vcpu_is_refused() {
        let mut dedicated = Dedicated::<4>::new();
        dedicated.assign(owner(0, 0), PcpuId::new(2)).unwrap();
        let refused = dedicated.assign(owner(0, 0), PcpuId::new(1));
        assert_eq!(
            refused,
            Err(AssignError::Placed {
                owner: owner(0, 0),
                pcpu: PcpuId::new(2)
            })
        );
    }

    #[test]
    fn cpu_beyond_the_last_is_refused() {
        let refused = Dedicated::<4>::new().assign(owner(0, 0), PcpuId::new(4));
        assert_eq!(refused, Err(AssignError::NoSuchPcpu(PcpuId::new(4))));
    }

    proptest! {
        #[test]
        fn no_sequence_of_assignments_gives_a_cpu_or_a_vcpu_twice(
            requests in prop::collection::vec((0..3_u8, 0..3_u8, 0..6_u8), 0..40),
        ) {
            let mut dedicated = Dedicated::<4>::new();
            let mut granted: Vec<(Owner, PcpuId)> = Vec::new();

            for (partition, vcpu, pcpu) in requests {
                let (owner, pcpu) = (owner(partition, vcpu), PcpuId::new(pcpu));
                let free = pcpu.get() < 4 && granted.iter().all(|(o, p)| *o != owner && *p != pcpu);
                prop_assert_eq!(dedicated.assign(owner, pcpu).is_ok(), free);
                if free {
                    granted.push((owner, pcpu));
                }
            }

            for (owner, pcpu) in granted {
                prop_assert_eq!(dedicated.owner(pcpu), Some(owner));
            }
        }
    }
}
