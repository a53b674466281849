//! Nobody watches over partitions: a failure is answered as `on_fault` says, at once and each time.

use model::partition::FaultPolicy;

use crate::arch::aarch64::inject::Exception;
use crate::machine::Machine;
use crate::vcpu::Vcpu;

#[cfg(feature = "iommu")]
impl<M: Machine> crate::vcpu::Hypervisor<M> {
    /// The answer to a fault of a partition's device.
    pub(crate) const fn answer_to_device(
        &self,
        partition: &crate::partition::Partition,
        _fault: &smmu::Fault,
    ) -> FaultPolicy {
        partition.config.on_fault
    }
}

impl<M: Machine> Vcpu<M> {
    /// The answer to an access to what the partition does not own.
    pub const fn answer_to_access(&self, _address: u64) -> FaultPolicy {
        self.partition.config.on_fault
    }

    /// Nothing keeps its guest from running.
    #[cfg(feature = "shared")]
    pub(crate) const fn may_run(&self) -> bool {
        true
    }

    /// First start of its partition: at once.
    pub(crate) fn first_start(&mut self) {
        self.restart();
    }

    /// An instruction or a register that its CPUs do not have.
    pub(crate) fn undefined(&mut self) {
        self.inject(Exception::Undefined, false);
    }
}
