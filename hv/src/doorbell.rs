//! Doorbells of channels: a store to a page of the one end is an interrupt of the others.
//!
//! # Principles
//! - One exit rings, whatever is stored: the page holds no state, and a partition that restarts finds it as it was.
//! - A bell that rings already does not ring twice: an end has at most one interrupt that it has not taken, and its pCPU is called for that one
//!   only. A storm of rings costs whoever makes it; an end that has turned its interrupt off is not called at all.
//! - An end that is stopped is not woken: what rings there is forgotten when its partition starts. Who starts looks at the memory first.

use model::VcpuId;
use model::doorbell::Bell;
use model::memory::PAGE;

use crate::exit::{AbortCause, MmioAccess, Width};
use crate::machine::Machine;
use crate::partition::request;
#[cfg(feature = "trace")]
use crate::trace;
use crate::vcpu::Vcpu;

/// The one register: a 32-bit store rings.
const RING: u64 = 0;

/// An access to a page of doorbells: the store that rings, or one that does nothing. All of the page reads as zero. False when it is none.
///
/// # Errors
/// The access is misaligned.
pub fn access<M: Machine>(vcpu: &mut Vcpu<M>, access: MmioAccess) -> Result<bool, AbortCause> {
    let mut doorbells = vcpu.partition.config.doorbells.iter();
    let found = doorbells.find_map(|one| {
        let offset = access.ipa.offset_from(one.page);
        offset.filter(|offset| *offset < PAGE).zip(Some(one))
    });
    let Some((offset, doorbell)) = found else {
        return Ok(false);
    };
    access.aligned()?;
    if !access.write {
        vcpu.context.set_register(access.register, 0);
    } else if (offset, access.width) == (RING, Width::Word) {
        #[cfg(feature = "monitor")]
        vcpu.shared.count_arrived(1);
        for bell in doorbell.rings {
            ring(vcpu, bell);
        }
    }
    Ok(true)
}

/// Makes the interrupt pending, and calls the virtual CPU that it goes to unless that knows already.
fn ring<M: Machine>(vcpu: &Vcpu<M>, bell: &Bell) {
    let peer = usize::from(bell.partition.get());
    let Some(peer) = vcpu.hypervisor.partitions.get(peer) else {
        return;
    };
    #[cfg(feature = "trace")]
    trace::now(
        vcpu.machine(),
        trace::Kind::DOORBELL,
        trace::who(vcpu),
        u64::from(bell.partition.get()) << 32 | u64::from(bell.intid.get()),
    );
    // An SPI is of no virtual CPU in particular: where it goes, its guest has said.
    let kicks = peer.devices.lock().gic.raise(bell.intid, VcpuId::new(0));
    if !kicks.is_empty() {
        vcpu.hypervisor.kick(peer, kicks, request::INTERRUPTS);
    }
}

#[cfg(test)]
mod tests;
