//! The board's interrupt controller: GICv2 or GICv3. The system table is a constant and says which; the driver of the other folds away.

use gic::phys::v2::GicV2;
use gic::phys::v3::GicV3;
use gic::{Acknowledged, GicError, InterruptController, ListRegister, ListRegisters};
use model::board::PhysicalGic;
use model::device::Trigger;
use model::{IntId, Mpidr};

use crate::SYSTEM;

/// The one that the system was built for; `bring_up` has compared it with the board's device tree.
#[derive(Clone, Copy)]
pub struct Gic;

/// Either of the drivers.
enum Driver {
    V2(GicV2),
    V3(GicV3),
}

impl Gic {
    #[inline(always)]
    fn driver(self) -> Driver {
        match SYSTEM.board.gic {
            PhysicalGic::V2 {
                distributor,
                cpu,
                control,
                ..
            } => {
                let [distributor, cpu, control] =
                    [distributor, cpu, control].map(|frame| frame.get() as usize);
                // SAFETY: the addresses are those of the device tree, and `map` maps them where they are, for ever.
                Driver::V2(unsafe { GicV2::new(distributor, cpu, control) })
            }
            PhysicalGic::V3 {
                distributor,
                redistributors,
            } => {
                let distributor = distributor.get() as usize;
                // SAFETY: as above.
                Driver::V3(unsafe { GicV3::new(distributor, redistributors) })
            }
        }
    }
}

/// Calls the same method of whichever it is.
macro_rules! both {
    ($self:ident, $gic:ident => $call:expr) => {
        match $self.driver() {
            Driver::V2($gic) => $call,
            Driver::V3($gic) => $call,
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
    fn image(&self, index: usize, register: ListRegister) -> u64 {
        both!(self, gic => gic.image(index, register))
    }
    #[inline(always)]
    fn write_image(&self, index: usize, image: u64) {
        both!(self, gic => gic.write_image(index, image));
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
    fn acknowledged(&self, raw: u32) -> Option<Acknowledged> {
        both!(self, gic => gic.acknowledged(raw))
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
    fn frames(&self) -> Option<[usize; 2]> {
        both!(self, gic => gic.frames())
    }
    fn overlooks_levels(&self) -> bool {
        both!(self, gic => gic.overlooks_levels())
    }
    fn look_again(&self) {
        both!(self, gic => gic.look_again());
    }
    fn reset_virtual_interface(&self) {
        both!(self, gic => gic.reset_virtual_interface());
    }
}
