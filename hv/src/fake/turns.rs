//! What virtual CPUs that take turns need of the machine.

use gic::{InterfaceState, PrivateBank, PrivateState, SharedInterface};
use rtds::Rtds;

use super::{Done, FakeCpu, FakeGic, FakeMachine, done, state};
use crate::arch::aarch64::context::Context;
use crate::arch::aarch64::world::World as CpuWorld;
use crate::pool::budget::Budgets;
use crate::pool::{SharedCpu, SharedMachine};

/// Floating-point registers are saved and loaded for themselves.
fn copy_all_but_floating_point(from: &CpuWorld, to: &mut CpuWorld) {
    let floating_point = to.floating_point;
    *to = from.clone();
    to.floating_point = floating_point;
}

/// The guest's system registers of the pCPU that runs are those of the [`CpuWorld`] that was loaded last.
impl SharedCpu for FakeCpu {
    fn save(world: &mut CpuWorld) {
        state(|state| {
            let registers = &mut state.registers[state.pcpu];
            copy_all_but_floating_point(registers, world);
            registers.virtual_timer.control = 0;
            registers.physical_timer.control = 0;
        });
    }
    fn load(world: &CpuWorld) {
        state(|state| {
            let registers = &mut state.registers[state.pcpu];
            copy_all_but_floating_point(world, registers);
            registers.virtual_timer.control = 0;
            registers.physical_timer.control = 0;
        });
    }
    fn start_timers(world: &CpuWorld) {
        state(|state| {
            let registers = &mut state.registers[state.pcpu];
            registers.virtual_timer = world.virtual_timer;
            registers.physical_timer = world.physical_timer;
        });
    }
    fn timers_ask() -> [bool; 2] {
        state(|state| {
            let registers = &state.registers[state.pcpu];
            [registers.virtual_timer, registers.physical_timer]
                .map(|timer| timer.deadline(0).is_some_and(|at| at <= state.now))
        })
    }
    fn forget_translations() {
        done(Done::ForgetTranslations);
    }
    fn complete_maintenance() {
        done(Done::CompleteMaintenance);
    }
    fn trap_floating_point(trap: bool) {
        state(|state| state.floating_point_is_trapped[state.pcpu] = trap);
    }
    fn save_floating_point(world: &mut CpuWorld) {
        state(|state| world.floating_point = state.registers[state.pcpu].floating_point);
    }
    fn load_floating_point(world: &CpuWorld) {
        state(|state| state.registers[state.pcpu].floating_point = world.floating_point);
    }
    fn enter_next(_context: &mut Context) {}
    #[cfg(feature = "masked")]
    fn number() -> usize {
        state(|state| state.pcpu)
    }
    fn is_interrupt_pending() -> bool {
        state(|state| !state.pending[state.pcpu].is_empty())
    }
    fn alarm() -> Option<u64> {
        state(|state| state.alarms[state.pcpu])
    }
}

impl SharedMachine for FakeMachine {
    type Policy = Budgets<4>;
    type GlobalPolicy = Rtds<4, 3, 4>;
}

impl SharedInterface for FakeGic {
    fn save_virtual_interface(&self, saved: &mut InterfaceState) {
        state(|state| {
            *saved = InterfaceState::default();
            for index in 0..4 {
                let register = state.list_registers[state.pcpu][index];
                saved.set_list_register(index, register);
            }
        });
    }
    fn restore_virtual_interface(&self, saved: &InterfaceState) {
        state(|state| {
            for index in 0..4 {
                state.list_registers[state.pcpu][index] = saved.list_register(index);
            }
        });
    }
    fn private_bank(&self) -> PrivateBank {
        PrivateBank::default()
    }
    fn private(&self, _bank: PrivateBank, mask: u32) -> PrivateState {
        let PrivateState { enabled, active } = state(|state| state.private[state.pcpu]);
        PrivateState {
            enabled: enabled & mask,
            active: active & mask,
        }
    }
    fn change_private(&self, _bank: PrivateBank, from: PrivateState, to: PrivateState) {
        state(|state| {
            let PrivateState { enabled, active } = &mut state.private[state.pcpu];
            *enabled = *enabled & !from.enabled | to.enabled;
            *active = *active & !from.active | to.active;
        });
    }
}
