//! Bulkhead's own calls: the vendor-specific hypervisor service of the SMC Calling Convention (Arm DEN 0028, chapters 6 and 8).
//!
//! docs/guest-abi.md is their reference. Those that are answered here are about the calling virtual CPU alone; by those
//! of [`control`](super::control) a guest names a partition that it may control.

#[cfg(feature = "shared")]
use super::psci::status;
use crate::machine::Machine;
#[cfg(feature = "shared")]
use crate::pool::counters::Counter;
use crate::vcpu::Vcpu;

mod function {
    /// Which counter (x1) to read: status in x0, value in x1.
    #[cfg(feature = "shared")]
    pub const COUNTER: u32 = 0xc600_0001;
    /// Call UID: the service is Bulkhead's.
    pub const UID: u32 = 0x8600_ff01;
    /// Revision: major in x0, minor in x1.
    pub const REVISION: u32 = 0x8600_ff03;
}

/// e12f6e33-3524-4176-9bd7-536f8fdc58cd, four bytes a register, the first in the lowest bits (DEN 0028, 6.2).
const UID: [u64; 4] = [0x336e_2fe1, 0x7641_2435, 0x6f53_d79b, 0xcd58_dc8f];
/// Functions are only added in a minor revision.
const REVISION: [u64; 2] = [1, 5];

/// Answers a call that is one of ours. False when it is not.
pub(super) fn call<M: Machine>(vcpu: &mut Vcpu<M>) -> bool {
    match vcpu.context.x[0] as u32 {
        #[cfg(feature = "shared")]
        function::COUNTER => match counter(vcpu, vcpu.context.x[1]) {
            Ok(value) => answer(vcpu, &[status::SUCCESS as u64, value]),
            Err(status) => answer(vcpu, &[status as u64]),
        },
        function::UID => answer(vcpu, &UID),
        function::REVISION => answer(vcpu, &REVISION),
        #[cfg(feature = "monitor")]
        _ => return super::control::call(vcpu),
        #[cfg(not(feature = "monitor"))]
        _ => return false,
    }
    true
}

fn answer<M: Machine>(vcpu: &mut Vcpu<M>, results: &[u64]) {
    for (register, result) in vcpu.context.x.iter_mut().zip(results) {
        *register = *result;
    }
}

/// A counter by its number. The error is a status.
#[cfg(feature = "shared")]
fn counter<M: Machine>(vcpu: &Vcpu<M>, number: u64) -> Result<u64, i64> {
    let mut all = Counter::ALL.into_iter();
    let counter = all.find(|counter| *counter as u64 == number);
    let counter = counter.ok_or(status::INVALID_PARAMETERS)?;
    vcpu.counter(counter).ok_or(status::NOT_SUPPORTED)
}
