//! The virtual Interrupt Translation Service of a partition: its registers, its guest's commands, and the LPIs that arrive for it.

use gic::InterruptController;
use gic::virt::its::{FRAME_BYTES, Memory};
use gic::virt::{Access, VcpuSet};
use model::its::VirtualIts;
use model::{IntId, Ipa, VcpuId};

use super::frames::within;
use crate::exit::{AbortCause, MmioAccess};
use crate::machine::Machine;
use crate::partition::{Partition, request};
use crate::vcpu::{Hypervisor, Vcpu};

/// The SGI with which a pCPU reminds itself of commands that are left: they go on in an exit of their own, after whatever else is pending.
const GO_ON: IntId = IntId::new(1);

/// A partition's RAM, for its ITS.
struct Ram<'a, M> {
    partition: &'a Partition,
    machine: &'a M,
}

impl<M: Machine> Memory for Ram<'_, M> {
    fn read(&self, ipa: u64) -> Option<u64> {
        self.partition
            .ram(Ipa::new(ipa))
            .map(|pa| self.machine.read(pa))
    }
}

/// An access to the ITS, if the partition has one there.
pub(super) fn access<M: Machine>(vcpu: &mut Vcpu<M>, access: MmioAccess) -> Result<(), AbortCause> {
    let base = vcpu.partition.config.its.as_ref().map(|its| its.base);
    let Some(offset) = base.and_then(|base| within(access.ipa, base, FRAME_BYTES)) else {
        return Err(AbortCause::Translation);
    };
    access.aligned()?;
    let offset = offset as u32;
    if access.write {
        let value = vcpu.context.register(access.register);
        let written = vcpu
            .partition
            .devices
            .lock()
            .gic
            .write_its(offset, access.width, value);
        if written == Access::Unknown {
            vcpu.partition.count_unknown_register();
        }
    }
    // Whoever polls for the end of commands helps to reach it.
    run_commands(vcpu);
    if !access.write {
        let read = vcpu
            .partition
            .devices
            .lock()
            .gic
            .read_its(offset, access.width);
        let value = match read {
            Access::Done(value) => value,
            Access::Unknown => {
                vcpu.partition.count_unknown_register();
                0
            }
        };
        vcpu.context
            .set_register(access.register, access.loaded(value));
    }
    Ok(())
}

/// Executes some of the guest's commands. What is left is for the virtual CPU's turns, or for the next exit of this kind, which comes by itself.
pub(crate) fn run_commands<M: Machine>(vcpu: &mut Vcpu<M>) {
    let memory = Ram {
        partition: vcpu.partition,
        machine: vcpu.machine(),
    };
    let mut left = false;
    vcpu.with_gic(|gic, caller| {
        if !gic.has_commands() {
            return VcpuSet::EMPTY;
        }
        let kicks = gic.run_commands(&memory, caller) | gic.flush(caller);
        left = gic.has_commands();
        kicks
    });
    if left && !vcpu.takes_turns() {
        vcpu.machine().gic().kick(vcpu.shared.pcpu(), GO_ON);
    } else if left {
        vcpu.execute_in_turns();
    }
}

impl<M: Machine> Vcpu<M> {
    /// An interrupt that may be about an ITS: an LPI, or the reminder of commands. False when it is another one.
    pub(crate) fn message(&mut self, intid: IntId) -> bool {
        if intid.is_lpi() {
            self.lpi(intid);
        } else if intid == GO_ON {
            run_commands(self);
            return false;
        }
        intid.is_lpi()
    }

    /// A physical LPI, which has no active state to end. One that its guest has just taken from its event is dropped.
    fn lpi(&mut self, physical: IntId) {
        let Some(owner) = self.hypervisor.owner_of_lpi(physical) else {
            return;
        };
        if owner.id != self.partition.id || !self.is_on() {
            return self.hypervisor.note_lpi(physical);
        }
        self.with_gic(|gic, caller| {
            let lpi = gic.lpi(physical);
            lpi.map_or(VcpuSet::EMPTY, |lpi| gic.deliver(lpi, caller))
        });
    }
}

impl<M: Machine> Hypervisor<M> {
    fn owner_of_lpi(&self, physical: IntId) -> Option<&'static Partition> {
        let has_it = |its: &VirtualIts| its.has_lpi(physical);
        let mut all = self.partitions.iter();
        all.find(|one| one.config.its.as_ref().is_some_and(has_it))
    }

    /// A physical LPI that came to a pCPU on which no virtual CPU of its partition runs: it is noted for the one that it is for.
    pub(crate) fn note_lpi(&self, physical: IntId) {
        let Some(owner) = self.owner_of_lpi(physical) else {
            return;
        };
        let kicks = {
            let gic = &mut owner.devices.lock().gic;
            match gic.lpi(physical) {
                Some(lpi) => gic.raise(lpi, VcpuId::new(0)),
                None => return,
            }
        };
        self.kick(owner, kicks, request::INTERRUPTS);
    }
}

#[cfg(test)]
mod tests;
