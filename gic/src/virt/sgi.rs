//! Software-generated interrupts that were left for a virtual CPU.

use super::{Calls, VcpuSet, Version, Vgic};
use model::{IntId, VcpuId};

impl Vgic {
    /// An SGI that was left for the calling virtual CPU arrives, from these source CPUs if it is one of a GICv2.
    pub fn deliver_sgi(&mut self, sgi: IntId, sources: u8, caller: impl Calls) -> VcpuSet {
        match self.geometry.version {
            #[cfg(feature = "virtual-v2")]
            Version::V2 => self.deliver_from(sgi, sources, caller),
            #[cfg(feature = "virtual-v3")]
            Version::V3 => {
                debug_assert_eq!(sources, 0, "nobody enters itself");
                self.deliver(sgi, caller)
            }
        }
    }

    /// The same for any virtual CPU `cpu`, which flushes soon.
    pub fn note_sgi(&mut self, sgi: IntId, sources: u8, cpu: VcpuId) -> VcpuSet {
        match self.geometry.version {
            #[cfg(feature = "virtual-v2")]
            Version::V2 => self.add_sources(sgi, cpu, sources),
            #[cfg(feature = "virtual-v3")]
            Version::V3 => {
                debug_assert_eq!(sources, 0, "nobody enters itself");
                self.raise(sgi, cpu)
            }
        }
    }
}
