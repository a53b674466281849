//! The interrupt controller: list registers, private interrupts of each pCPU, and interrupts that a test has pend.

use gic::{
    Acknowledged, Announce, GicError, InterruptController, ListRegister, ListRegisters, LrState,
};
use model::device::Trigger;
use model::{IntId, Mpidr};

use super::{Done, PCPUS, done, pend, state};

/// The interrupt number that says that there is none.
pub(super) const NONE_PENDING: u32 = 1023;

/// The interrupt controller.
#[derive(Clone, Copy)]
pub struct FakeGic;

impl ListRegisters for FakeGic {
    fn count(&self) -> usize {
        4
    }
    fn empty(&self) -> u64 {
        state(|state| {
            state.bits(|register| register.state == LrState::Empty && !register.end_maintenance)
        })
    }
    fn read(&self, index: usize) -> ListRegister {
        state(|state| state.list_registers[state.pcpu][index])
    }
    fn write(&self, index: usize, register: ListRegister) {
        state(|state| state.list_registers[state.pcpu][index] = register);
    }
    fn image(&self, _index: usize, register: ListRegister) -> Option<u64> {
        Some(register.to_v3())
    }
    /// The source CPU of a GICv2 SGI stands above its number.
    fn write_image(&self, index: usize, image: u64) {
        let mut register = ListRegister::from_v3(image);
        if register.virtual_id.get() >> 13 == 0 {
            register.source = (register.virtual_id.get() >> 10) as u8;
            register.virtual_id = IntId::new(register.virtual_id.get() & 0x3ff);
        }
        self.write(index, register);
    }
    fn announce(&self, what: Announce) {
        done(Done::Announce(what));
    }
    fn running_priority(&self) -> u8 {
        u8::MAX
    }
    fn splits_ends(&self) -> bool {
        state(|state| state.splits_ends)
    }
}

/// The bit of a private interrupt; 0 for others.
fn private_bit(intid: IntId) -> u32 {
    1u32.checked_shl(intid.get()).unwrap_or(0)
}

impl InterruptController for FakeGic {
    fn init_distributor(&self) -> Result<(), GicError> {
        Ok(())
    }
    fn init_cpu(&self) -> Result<(), GicError> {
        Ok(())
    }
    fn acknowledge(&self) -> Option<Acknowledged> {
        self.acknowledged(
            state(|state| state.pending[state.pcpu].pop_front()).unwrap_or(NONE_PENDING),
        )
    }
    fn acknowledged(&self, raw: u32) -> Option<Acknowledged> {
        let intid = IntId::new(raw);
        (raw != NONE_PENDING).then_some(Acknowledged { intid, raw })
    }
    fn drop_priority(&self, interrupt: Acknowledged) {
        done(Done::DropPriority(interrupt.raw));
    }
    fn deactivate(&self, interrupt: Acknowledged) {
        done(Done::Deactivate(interrupt.raw));
    }
    fn deactivate_physical(&self, intid: IntId) {
        done(Done::DeactivatePhysical(intid.get()));
    }
    fn enable(&self, intid: IntId) {
        state(|state| state.private[state.pcpu].enabled |= private_bit(intid));
        done(Done::Enable(intid.get()));
    }
    fn disable(&self, intid: IntId) {
        state(|state| state.private[state.pcpu].enabled &= !private_bit(intid));
        done(Done::Disable(intid.get()));
    }
    fn set_trigger(&self, _intid: IntId, _trigger: Trigger) {}
    fn is_available(&self, _intid: IntId) -> bool {
        true
    }
    fn route(&self, intid: IntId, cpu: Mpidr) {
        done(Done::Route(intid.get(), cpu.get()));
    }
    fn is_pending(&self, _intid: IntId) -> bool {
        false
    }
    fn clear_pending(&self, _intid: IntId) {}
    fn set_pending(&self, intid: IntId) {
        done(Done::SetPending(intid.get()));
    }
    /// The SGI comes to the pCPU when it next acknowledges an interrupt.
    fn kick(&self, cpu: Mpidr, sgi: IntId) {
        done(Done::Kick(cpu.get()));
        let pcpu = PCPUS.iter().position(|affinity| *affinity == cpu.get());
        pend(pcpu.expect("a pCPU of this machine"), sgi.get());
    }
    #[cfg(feature = "its")]
    fn translate(&self, change: gic::virt::its::Change, cpu: Mpidr) -> bool {
        done(Done::Translate(change, cpu.get()));
        true
    }
    fn reset_virtual_interface(&self) {
        state(|state| state.list_registers[state.pcpu] = [ListRegister::EMPTY; 4]);
        done(Done::ResetVirtualInterface);
    }
    fn withhold_virtual_interface(&self) {
        done(Done::WithholdVirtualInterface);
    }
}
