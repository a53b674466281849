//! The board's interrupt controller: GICv2 or GICv3, both in every image; the system says which.

use gic::phys::v2::GicV2;
use gic::phys::v3::GicV3;
use gic::{Acknowledged, GicError, InterruptController, ListRegister, ListRegisters};
use model::board::PhysicalGic;
use model::device::Trigger;
use model::{IntId, Mpidr};

use crate::SYSTEM;

/// Either of them.
#[derive(Clone, Copy)]
pub enum Gic {
    /// GICv2.
    V2(GicV2),
    /// GICv3 or GICv4.
    V3(GicV3),
}

impl Gic {
    /// The one that the system was built for; `bring_up` has compared it with the board's device tree.
    pub fn of_system() -> Self {
        match SYSTEM.board.gic {
            // SAFETY: the addresses are those of the device tree, and `map` maps them where they are, for ever.
            PhysicalGic::V2 {
                distributor,
                cpu,
                control,
                ..
            } => Self::V2(unsafe {
                GicV2::new(
                    distributor.get() as usize,
                    cpu.get() as usize,
                    control.get() as usize,
                )
            }),
            // SAFETY: as above.
            PhysicalGic::V3 {
                distributor,
                redistributors,
            } => Self::V3(unsafe { GicV3::new(distributor.get() as usize, redistributors) }),
        }
    }
}

/// Calls the same method of whichever it is.
macro_rules! both {
    ($self:ident, $gic:ident => $call:expr) => {
        match $self {
            Gic::V2($gic) => $call,
            Gic::V3($gic) => $call,
        }
    };
}

impl ListRegisters for Gic {
    #[inline]
    fn count(&self) -> usize {
        both!(self, gic => gic.count())
    }
    #[inline]
    fn empty(&self) -> u64 {
        both!(self, gic => gic.empty())
    }
    #[inline]
    fn read(&self, index: usize) -> ListRegister {
        both!(self, gic => gic.read(index))
    }
    #[inline]
    fn write(&self, index: usize, register: ListRegister) {
        both!(self, gic => gic.write(index, register));
    }
    #[inline]
    fn ended(&self) -> u64 {
        both!(self, gic => gic.ended())
    }
    #[inline]
    fn request_refill(&self, on: bool) {
        both!(self, gic => gic.request_refill(on));
    }
}

impl InterruptController for Gic {
    fn init_distributor(&self) -> Result<(), GicError> {
        both!(self, gic => gic.init_distributor())
    }
    fn init_cpu(&self) -> Result<(), GicError> {
        both!(self, gic => gic.init_cpu())
    }
    #[inline]
    fn acknowledge(&self) -> Option<Acknowledged> {
        both!(self, gic => gic.acknowledge())
    }
    #[inline]
    fn drop_priority(&self, interrupt: Acknowledged) {
        both!(self, gic => gic.drop_priority(interrupt));
    }
    #[inline]
    fn deactivate(&self, interrupt: Acknowledged) {
        both!(self, gic => gic.deactivate(interrupt));
    }
    fn deactivate_physical(&self, intid: IntId) {
        both!(self, gic => gic.deactivate_physical(intid));
    }
    fn enable(&self, intid: IntId) {
        both!(self, gic => gic.enable(intid));
    }
    fn disable(&self, intid: IntId) {
        both!(self, gic => gic.disable(intid));
    }
    fn set_trigger(&self, intid: IntId, trigger: Trigger) {
        both!(self, gic => gic.set_trigger(intid, trigger));
    }
    fn set_priority(&self, intid: IntId, priority: u8) {
        both!(self, gic => gic.set_priority(intid, priority));
    }
    fn route(&self, intid: IntId, cpu: Mpidr) {
        both!(self, gic => gic.route(intid, cpu));
    }
    fn clear_pending(&self, intid: IntId) {
        both!(self, gic => gic.clear_pending(intid));
    }
    fn kick(&self, cpu: Mpidr, sgi: IntId) {
        both!(self, gic => gic.kick(cpu, sgi));
    }
    fn reset_virtual_interface(&self) {
        both!(self, gic => gic.reset_virtual_interface());
    }
}
