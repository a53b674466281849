//! The redistributor's own registers; its private interrupts are handled as the distributor's.

use super::Vgic;
use super::route::packed_affinity;
use model::VcpuId;

/// `GICR_WAKER.ProcessorSleep`.
const PROCESSOR_SLEEP: u32 = 1 << 1;
/// `GICR_WAKER.ChildrenAsleep`.
const CHILDREN_ASLEEP: u32 = 1 << 2;
/// `GICR_TYPER.Last`.
const LAST: u64 = 1 << 4;

impl Vgic {
    /// `GICR_TYPER` (IHI 0069H 12.11.41): affinity, processor number, Last, and with an ITS `PLPIS`.
    pub(super) fn redistributor_type(&self, cpu: VcpuId) -> u64 {
        let index = usize::from(cpu.get());
        let Some(vcpu) = self.geometry.vcpus.get(index) else {
            return 0;
        };
        let last = if index + 1 == self.geometry.vcpus.len() {
            LAST
        } else {
            0
        };
        #[cfg(feature = "its")]
        let last = last | u64::from(!self.lpis.is_empty());
        u64::from(packed_affinity(vcpu.mpidr)) << 32 | (index as u64) << 8 | last
    }

    /// `GICR_WAKER` (12.11.42): the CPU interface follows the CPU's wish at once.
    pub(super) fn read_waker(&self, cpu: VcpuId) -> u32 {
        match self.vcpus.get(usize::from(cpu.get())) {
            Some(state) if state.asleep => PROCESSOR_SLEEP | CHILDREN_ASLEEP,
            _ => 0,
        }
    }

    /// Records the wish. It gates nothing: what is delivered while it says "asleep" is IMPLEMENTATION DEFINED.
    pub(super) fn write_waker(&mut self, cpu: VcpuId, value: u32) {
        if let Some(state) = self.vcpus.get_mut(usize::from(cpu.get())) {
            state.asleep = value & PROCESSOR_SLEEP != 0;
        }
    }
}
