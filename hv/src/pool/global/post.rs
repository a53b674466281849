//! A pCPU of a global pool: what it has, and how it does without a virtual CPU.

use gic::{Acknowledged, InterruptController, PrivateState, SharedInterface};
use rtds::PcpuIndex;

use super::pool::{Given, Left, Pool};
use crate::event::Event;
use crate::machine::{Cpu, Machine};
use crate::partition::request;
use crate::pool::SharedCpu;
use crate::pool::switch::Timers;
use crate::vcpu::Vcpu;

/// A pCPU of a pool. It goes from one virtual CPU to the next, which has it while it is loaded.
pub struct Post<M: Machine> {
    pub(super) pool: &'static Pool<M>,
    pub(super) here: PcpuIndex,
    /// The place in the pool of the one that is loaded, if one is.
    pub(super) loaded: usize,
    /// The floating-point registers are those of the one that is loaded.
    floating_point: bool,
    /// Something happened that the policy may have to know.
    pub(super) look: bool,
    /// The alarm as it was set last.
    armed: Option<u64>,
    /// The interrupts of the guests' timers.
    timers: Timers,
    /// How the one that was loaded last has left them.
    left: PrivateState,
}

impl<M: Machine> Post<M> {
    /// The pCPU at place `here` of a pool, with nothing loaded.
    pub fn new(pool: &'static Pool<M>, here: PcpuIndex) -> Self {
        Self {
            pool,
            here,
            loaded: 0,
            floating_point: false,
            look: false,
            armed: None,
            timers: Timers::new(pool.hypervisor.system),
            left: PrivateState::default(),
        }
    }

    /// The pCPU begins: it finds its private interrupts.
    pub(super) fn begin(&mut self) {
        let gic = self.pool.hypervisor.machine.gic();
        self.timers.bank = gic.private_bank();
        self.left = gic.private(self.timers.bank, self.timers.mask());
    }

    /// Takes the registers of a virtual CPU out of the pCPU. Returns when one of its timers fires, in ticks.
    pub(super) fn put_down(&mut self, vcpu: &mut Vcpu<M>) -> Option<u64> {
        vcpu.put_down(&self.timers);
        self.left = vcpu.turn.timers;
        let timer = vcpu.next_timer(&self.timers);
        (timer != u64::MAX).then_some(timer)
    }

    /// Sets the alarm, unless it is set so already.
    pub(super) fn arm(&mut self, alarm: Option<u64>) {
        if alarm != self.armed {
            self.armed = alarm;
            match alarm {
                Some(at) => M::Cpu::set_alarm(at),
                None => M::Cpu::clear_alarm(),
            }
        }
    }

    /// The alarm rang.
    pub(super) fn alarm_rang(&mut self) {
        self.look = true;
        self.armed = None;
        let hypervisor = self.pool.hypervisor;
        if hypervisor.common.is_console_due(M::Cpu::now()) {
            hypervisor.look_after_console();
        }
    }

    /// Somebody called: for a virtual CPU of the pool, for the policy, or for counters.
    pub(super) fn was_called(&mut self) {
        self.look = true;
        if self.pool.publish() {
            self.pool.hypervisor.look_after_console();
        }
    }

    /// Gives up what it has loaded, if anything, and takes what it shall run. `Err` when that is nothing.
    pub(super) fn next(
        &'static mut self,
        left: Option<Left<M>>,
    ) -> Result<&'static mut Vcpu<M>, &'static mut Self> {
        self.look = false;
        let plan = self.pool.exchange(self.here, left);
        self.arm(plan.alarm);
        match plan.run {
            Some(given) => Ok(self.take_up(given)),
            None => {
                // Nobody is there whom a maintenance interrupt could be about.
                self.pool.hypervisor.machine.gic().reset_virtual_interface();
                Err(self)
            }
        }
    }

    fn take_up(&'static mut self, given: Given<M>) -> &'static mut Vcpu<M> {
        let Given { vcpu, place, stale } = given;
        self.loaded = place;
        let (timers, left) = (self.timers, self.left);
        self.floating_point = false;
        M::Cpu::trap_floating_point(true);
        vcpu.turn.post = Some(self);
        vcpu.take_up(&timers, left);
        if stale {
            M::Cpu::forget_translations();
        }
        M::Cpu::enter_next(&mut vcpu.context);
        vcpu
    }

    /// Waits until an interrupt comes. Nothing is loaded.
    pub(super) fn wait(&self) {
        self.pool.hypervisor.machine.gic().look_again();
        M::Cpu::wait_for_interrupt();
        #[cfg(feature = "trace")]
        crate::trace::waited(&self.pool.hypervisor.machine);
    }

    /// Serves the interrupts that have come. Nothing is loaded.
    pub(super) fn serve_interrupts(&mut self) {
        while M::Cpu::is_interrupt_pending() {
            self.interrupt();
        }
    }

    /// Serves an interrupt while nothing is loaded.
    fn interrupt(&mut self) {
        let hypervisor = self.pool.hypervisor;
        let gic = hypervisor.machine.gic();
        let Some(acknowledged) = gic.acknowledge() else {
            return;
        };
        gic.drop_priority(acknowledged);
        let intid = acknowledged.intid;
        #[cfg(feature = "trace")]
        crate::trace::interrupt(&hypervisor.machine, intid);
        let board = &hypervisor.system.board;
        #[cfg(feature = "its")]
        if intid.is_lpi() {
            hypervisor.note_lpi(intid);
            return;
        }
        if intid.is_sgi() {
            // What it is about stands in the requests, and with the policy.
            hypervisor.machine.was_called(intid);
            self.was_called();
        } else if intid == board.console.intid {
            hypervisor.serve_console();
        } else if intid == board.hypervisor_timer {
            M::Cpu::clear_alarm();
            self.alarm_rang();
        } else if hypervisor.machine.serve(intid) {
            // An IOMMU's.
        } else if self.hand_on(acknowledged) {
            return;
        } else {
            gic.disable(intid);
            hypervisor
                .machine
                .record(Event::StrayInterrupt { intid: intid.get() });
        }
        gic.deactivate(acknowledged);
    }

    /// An interrupt of a partition of the pool is noted for the virtual CPU that it is routed to, which is called. It stays active until its
    /// guest has ended it. False when nobody here owns it.
    pub(super) fn hand_on(&mut self, acknowledged: Acknowledged) -> bool {
        let intid = acknowledged.intid;
        let Some((partition, id, seen)) = self.pool.owner(intid) else {
            return false;
        };
        self.look = true;
        let kicks = partition.devices.lock().gic.raise(seen, id);
        let hypervisor = self.pool.hypervisor;
        hypervisor.kick(partition, kicks, request::INTERRUPTS);
        true
    }

    /// The guest that is loaded uses floating point for the first time since it was taken up.
    pub(super) fn lend_floating_point(&mut self) {
        self.floating_point = true;
        M::Cpu::trap_floating_point(false);
    }

    /// Takes the floating-point registers back. True when the one that was loaded has them there.
    pub(super) fn withdraw_floating_point(&mut self) -> bool {
        core::mem::take(&mut self.floating_point)
    }
}
