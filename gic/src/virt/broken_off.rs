//! What concerns many interrupts is broken off where other virtual CPUs wait for the physical one ([`Hardware::is_wanted`]), and goes on in its turns.

use super::{Calls, Hardware, Vgic};
use model::VcpuId;

/// A write to many interrupts.
impl Vgic {
    /// True when a write of this virtual CPU was broken off: it goes on with the same call of [`write`](Self::write), before anything else that the guest
    /// does.
    pub fn is_unfinished(&self, cpu: VcpuId) -> bool {
        let state = self.vcpus.get(usize::from(cpu.get()));
        state.is_some_and(|state| state.done != 0)
    }

    /// How many interrupts of a write are done, if it was broken off.
    pub(super) fn resume(&mut self, cpu: VcpuId) -> u32 {
        let state = self.vcpus.get_mut(usize::from(cpu.get()));
        state.map_or(0, |state| core::mem::take(&mut state.done))
    }

    /// Notes that `done` interrupts of a write are, if the rest must wait.
    pub(super) fn breaks_off(&mut self, done: u32, caller: impl Calls) -> bool {
        let state = self.vcpus.get_mut(usize::from(caller.cpu().get()));
        let state = state.filter(|_| caller.hardware().is_wanted());
        state.map(|state| state.done = done).is_some()
    }
}

/// Placing waiting interrupts in list registers.
impl Vgic {
    /// True when placing interrupts in the list registers of this virtual CPU was broken off: [`flush`](Self::flush) goes on with it, before the guest is
    /// entered.
    pub fn is_unplaced(&self, cpu: VcpuId) -> bool {
        let state = self.vcpus.get(usize::from(cpu.get()));
        state.is_some_and(|state| state.unplaced)
    }

    /// The list registers among `all` that are still to be filled, if placing was broken off and nothing has changed since: what has been loaded since they
    /// were read back stands.
    pub(super) fn goes_on_placing(&mut self, cpu: VcpuId, all: u16) -> Option<u16> {
        let state = self.vcpus.get_mut(usize::from(cpu.get()))?;
        let goes_on = state.unplaced && !state.changed && !state.recall;
        goes_on.then(|| {
            state.unplaced = false;
            all & !state.used
        })
    }

    /// Breaks placing off before its first step, when all list registers are `free`, unless that was done before.
    pub(super) fn puts_off_placing(&mut self, free: bool, caller: impl Calls) -> bool {
        let Some(state) = self.vcpus.get_mut(usize::from(caller.cpu().get())) else {
            return false;
        };
        let before = core::mem::take(&mut state.unplaced);
        state.unplaced =
            free && !before && !state.waiting.is_empty() && caller.hardware().is_wanted();
        state.unplaced
    }

    /// Notes that placing was broken off.
    pub(super) fn break_off_placing(&mut self, cpu: VcpuId) {
        if let Some(state) = self.vcpus.get_mut(usize::from(cpu.get())) {
            state.unplaced = true;
        }
    }
}
