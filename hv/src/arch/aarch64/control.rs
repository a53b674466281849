//! Bulkhead's own calls about the life of partitions, in the range of vendor-specific hypervisor services (Arm DEN 0028, chapter 6).
//!
//! docs/guest-abi.md is their reference. What the system file does not grant is refused, and counted as [`Class::HypercallAbuse`].

use model::PartitionId;
use model::monitor::Class;

use super::psci::status;
use crate::machine::Machine;
use crate::monitor::control::{Order, Refused};
use crate::vcpu::Vcpu;

/// Functions of these calls; x1 is the partition by its place in the system file, or what the function says.
mod function {
    use core::ops::RangeInclusive;

    /// All of Bulkhead's own 64-bit calls.
    pub const OWN: RangeInclusive<u32> = 0xc600_0000..=0xc600_ffff;
    /// How a partition does: status in x0; state, restarts and faults in x1 to x3.
    pub const STATE: u32 = 0xc600_0010;
    /// The first order; they follow as [`Order::ALL`](super::Order::ALL) has them.
    pub const ORDERS: u32 = 0xc600_0011;
    /// The guest has failed; x1 is its own code for that.
    pub const PANIC: u32 = 0xc600_0016;
    /// The guest is alive.
    pub const ALIVE: u32 = 0xc600_0017;
    /// The oldest failure of others of which it was not told: status in x0; who, class and virtual CPU in x1; counter, program counter, value and
    /// count in x2 to x5.
    pub const FAILURE: u32 = 0xc600_0018;
}

/// Answers a call that is one of these, and any in Bulkhead's own range that nobody else has answered. False when it is not.
pub(super) fn call<M: Machine>(vcpu: &mut Vcpu<M>) -> bool {
    let [x0, x1, ..] = vcpu.context.x;
    let function = x0 as u32;
    if !function::OWN.contains(&function) {
        return false;
    }
    let order = function
        .checked_sub(function::ORDERS)
        .and_then(|index| Order::ALL.get(index as usize));
    let status =
        match (function, order) {
            (_, Some(order)) => of(target(x1)
                .and_then(|target| vcpu.hypervisor.control(vcpu.partition, *order, target))),
            (function::STATE, _) => state(vcpu, x1),
            (function::FAILURE, _) => failure(vcpu),
            (function::PANIC, _) => {
                vcpu.context.set_register(0, status::SUCCESS as u64);
                vcpu.failed(Class::GuestPanic, x1);
                return true;
            }
            (function::ALIVE, _) => {
                vcpu.is_alive();
                status::SUCCESS
            }
            _ => status::NOT_SUPPORTED,
        };
    vcpu.context.set_register(0, status as u64);
    if matches!(status, status::DENIED | status::NOT_SUPPORTED) {
        vcpu.failed(Class::HypercallAbuse, x0);
    }
    true
}

fn state<M: Machine>(vcpu: &mut Vcpu<M>, x1: u64) -> i64 {
    let state = target(x1).and_then(|target| vcpu.hypervisor.state_of(vcpu.partition, target));
    of(state.map(|state| {
        vcpu.context.set_register(1, state.code);
        vcpu.context.set_register(2, state.restarts);
        vcpu.context.set_register(3, state.faults);
    }))
}

fn failure<M: Machine>(vcpu: &mut Vcpu<M>) -> i64 {
    match vcpu.hypervisor.next_failure(vcpu.partition) {
        Ok(Some(record)) => {
            let who = u64::from(record.partition)
                | u64::from(record.class) << 8
                | u64::from(record.vcpu) << 16;
            let values = [who, record.ticks, record.pc, record.value, record.count];
            for (register, value) in (1..).zip(values) {
                vcpu.context.set_register(register, value);
            }
            status::SUCCESS
        }
        Ok(None) => status::NOT_PRESENT,
        Err(refused) => of(Err(refused)),
    }
}

fn target(x1: u64) -> Result<PartitionId, Refused> {
    u8::try_from(x1)
        .map(PartitionId::new)
        .map_err(|_| Refused::Denied)
}

const fn of(done: Result<(), Refused>) -> i64 {
    match done {
        Ok(()) => status::SUCCESS,
        Err(Refused::Denied) => status::DENIED,
        Err(Refused::NotNow) => status::INVALID_PARAMETERS,
    }
}
