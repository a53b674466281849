//! Where the register frames of a partition's virtual devices are.

use gic::virt::Frame;
use model::device::VirtualGic;
use model::{Ipa, VcpuId};

use crate::machine::Machine;
use crate::vcpu::Vcpu;

/// Size of a virtual UART's register page.
pub(super) const UART_PAGE: u64 = 0x1000;
/// Size of a GICv2 distributor's page (IHI 0048B 4.1.2).
#[cfg(feature = "virtual-v2")]
const GICV2_DISTRIBUTOR: u64 = 0x1000;
/// Where a GICv2 CPU interface has its second page (IHI 0048B, table 4-2).
#[cfg(feature = "v2")]
const GICV2_SECOND_PAGE: u64 = 0x1000;
/// Size of a GICv3 distributor's frame (IHI 0069H 12.8).
const GICV3_DISTRIBUTOR: u64 = 0x1_0000;
/// Size of a GICv3 redistributor: RD_base and SGI_base.
const GICV3_REDISTRIBUTOR: u64 = 0x2_0000;

/// Offset of `ipa` in `[base, base + size)`.
pub(super) fn within(ipa: Ipa, base: Ipa, size: u64) -> Option<u64> {
    ipa.offset_from(base).filter(|offset| *offset < size)
}

/// Which register frame of the virtual interrupt controller an address is in.
#[inline]
pub(super) fn gic_frame<M: Machine>(vcpu: &Vcpu<M>, ipa: Ipa) -> Option<(Frame, u64)> {
    match vcpu.partition.config.gic {
        #[cfg(feature = "virtual-v2")]
        VirtualGic::V2 { distributor, .. } => {
            within(ipa, distributor, GICV2_DISTRIBUTOR).map(|offset| (Frame::Distributor, offset))
        }
        VirtualGic::V3 {
            distributor,
            redistributors,
            stride,
        } => {
            if let Some(offset) = within(ipa, distributor, GICV3_DISTRIBUTOR) {
                return Some((Frame::Distributor, offset));
            }
            let stride = stride.max(GICV3_REDISTRIBUTOR);
            let offset = ipa.offset_from(redistributors)?;
            let index = offset / stride;
            let offset = offset % stride;
            let inside = index < vcpu.partition.vcpus.len() as u64 && offset < GICV3_REDISTRIBUTOR;
            inside.then_some((Frame::Redistributor(VcpuId::new(index as u8)), offset))
        }
        // On a host the model may have what this crate was not asked for: the compiler knows every kind.
        #[cfg(not(target_os = "none"))]
        #[allow(unreachable_patterns, reason = "with all kinds there is no other")]
        _ => None,
    }
}

/// Offset in the second page of a GICv2's CPU interface, whose only register is `GICC_DIR`.
#[cfg(feature = "v2")]
pub(super) fn deactivation_page<M: Machine>(vcpu: &Vcpu<M>, ipa: Ipa) -> Option<u64> {
    let VirtualGic::V2 { cpu_interface, .. } = vcpu.partition.config.gic else {
        return None;
    };
    let offset = ipa.offset_from(cpu_interface)?;
    (offset / GICV2_SECOND_PAGE == 1).then_some(offset % GICV2_SECOND_PAGE)
}
