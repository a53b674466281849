//! The end of an exit on a pCPU of a global pool: the same virtual CPU goes on, or another one does, or the pCPU waits.

use gic::{Acknowledged, InterruptController};

use super::pool::{Left, Plan};
use super::post::Post;
use crate::machine::Machine;
use crate::partition::request;
use crate::pool::SharedCpu;
use crate::pool::counters::Counter;
use crate::vcpu::Vcpu;
use model::VcpuId;

/// What a pCPU has when it has done what the policy says.
pub(super) enum Turn<M: Machine> {
    /// One that may be entered.
    Enter(&'static mut Vcpu<M>),
    /// Nothing to run.
    Wait(&'static mut Post<M>),
}

/// The end of an exit of a virtual CPU. Returns the one that the pCPU enters.
#[inline]
pub fn schedule<M: Machine>(vcpu: &'static mut Vcpu<M>) -> &'static mut Vcpu<M> {
    let Some(post) = &vcpu.turn.post else {
        return vcpu;
    };
    if vcpu.is_on() && !vcpu.turn.waits && !post.look {
        return vcpu;
    }
    let left = vcpu.context.entered;
    let vcpu = stay_until_entering(take_turns(vcpu, Some(left)));
    vcpu.interface.signal::<M::Cpu>();
    vcpu
}

/// The pCPU begins; the first one of a pool loads the partitions whose first virtual CPU is in it. Returns the virtual CPU that the pCPU
/// enters first.
pub fn bring_up<M: Machine>(post: &'static mut Post<M>) -> &'static mut Vcpu<M> {
    let hypervisor = post.pool.hypervisor;
    let gic = hypervisor.machine.gic();
    gic.enable(hypervisor.system.board.hypervisor_timer);
    if post.here.get() == 0 {
        post.pool.with_each(|vcpu| {
            if vcpu.id == VcpuId::new(0) {
                vcpu.first_start();
                vcpu.shared.request(request::POWER);
            }
        });
    }
    post.begin();
    let vcpu = stay_until_entering(begin(post));
    vcpu.interface.signal::<M::Cpu>();
    vcpu
}

/// Waits as long as there is nothing to run.
fn stay_until_entering<M: Machine>(mut turn: Turn<M>) -> &'static mut Vcpu<M> {
    loop {
        match turn {
            Turn::Enter(vcpu) => return vcpu,
            Turn::Wait(post) => {
                post.wait();
                post.serve_interrupts();
                turn = begin(post);
            }
        }
    }
}

/// A pCPU with nothing loaded takes up what it shall run.
pub(super) fn begin<M: Machine>(post: &'static mut Post<M>) -> Turn<M> {
    match post.next(None) {
        Ok(vcpu) if vcpu.may_enter_at_once() => Turn::Enter(vcpu),
        Ok(vcpu) => take_turns(vcpu, None),
        Err(post) => Turn::Wait(post),
    }
}

/// A pCPU with a virtual CPU loaded asks the policy until it enters one or has none. `left` says when the guest was left, in ticks, if it ran.
#[inline(never)]
pub(super) fn take_turns<M: Machine>(
    mut vcpu: &'static mut Vcpu<M>,
    mut left: Option<u64>,
) -> Turn<M> {
    vcpu.shared.turns.count_entry();
    loop {
        if vcpu.keeps_its_pcpu(left.take()) {
            if !vcpu.has_errand() {
                return Turn::Enter(vcpu);
            }
            vcpu.go_on();
            continue;
        }
        vcpu = match leave(vcpu) {
            Ok(next) if next.may_enter_at_once() => return Turn::Enter(next),
            Ok(next) => next,
            Err(post) => return Turn::Wait(post),
        };
    }
}

/// Puts a virtual CPU down, and takes the next one up. `Err` when there is none.
fn leave<M: Machine>(
    vcpu: &'static mut Vcpu<M>,
) -> Result<&'static mut Vcpu<M>, &'static mut Post<M>> {
    let Some(post) = vcpu.turn.post.take() else {
        return Ok(vcpu);
    };
    if post.withdraw_floating_point() {
        M::Cpu::save_floating_point(&mut vcpu.turn.world);
    }
    let timer = post.put_down(vcpu);
    M::Cpu::complete_maintenance();
    let place = post.loaded;
    post.next(Some(Left { vcpu, place, timer }))
}

impl<M: Machine> Vcpu<M> {
    /// True when several pCPUs may run it, and one of them does.
    #[inline(always)]
    pub(in crate::pool) fn moves(&self) -> bool {
        self.turn.post.is_some()
    }

    /// True when the policy lets it go on where it is. Its guest was left at `left`, in ticks, and did not run since.
    fn keeps_its_pcpu(&mut self, left: Option<u64>) -> bool {
        self.settle_power();
        let has_work = self.has_errand()
            || self.is_on()
                && self.may_run()
                && (!self.turn.waits || self.shared.has_requests() || self.has_interrupt());
        if has_work {
            self.turn.waits = false;
        }
        let Some(post) = &mut self.turn.post else {
            return true;
        };
        post.look = false;
        let Plan { run, alarm } = post.pool.keep(post.here, post.loaded, left, has_work);
        post.arm(alarm);
        run
    }

    /// True when it can go on as it was, now that it has been taken up.
    fn may_enter_at_once(&self) -> bool {
        self.is_on() && !self.shared.has_requests() && !self.has_errand()
    }

    /// Another virtual CPU of the pool may own an interrupt that this one does not: then it is noted for that one. False when nobody does.
    pub(in crate::pool) fn hand_on(&mut self, acknowledged: Acknowledged) -> bool {
        let post = self.turn.post.as_mut();
        post.is_some_and(|post| post.hand_on(acknowledged))
    }

    /// The alarm rang. True when it was set for the pool.
    pub(in crate::pool) fn pools_alarm_rang(&mut self) -> bool {
        let post = self.turn.post.as_mut();
        post.map(|post| post.alarm_rang()).is_some()
    }

    /// Somebody called the pCPU, for one of the pool's virtual CPUs or for the policy.
    pub(in crate::pool) fn pool_was_called(&mut self) {
        if let Some(post) = &mut self.turn.post {
            post.was_called();
        }
    }

    /// A counter of its turns.
    pub(in crate::pool) fn pools_counter(&self, counter: Counter) -> Option<u64> {
        let post = self.turn.post.as_ref()?;
        post.pool.counter(post.loaded, counter)
    }

    /// The guest uses floating point. False when its registers are its own.
    pub(in crate::pool) fn borrow_floating_point(&mut self) -> bool {
        let Some(post) = &mut self.turn.post else {
            return false;
        };
        post.lend_floating_point();
        M::Cpu::load_floating_point(&self.turn.world);
        true
    }
}
