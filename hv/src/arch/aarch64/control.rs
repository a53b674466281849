//! Bulkhead's own [calls](crate::monitor::calls) by HVC or SMC: number in x0, argument in x1; status in x0, values from x1 on.

use model::call::OWN;

use crate::machine::Machine;
use crate::monitor::calls::{self, Answer};
use crate::vcpu::Vcpu;

/// Answers a call that is one of these, and any in Bulkhead's own range that nobody else has answered. False when it is not.
pub(super) fn call<M: Machine>(vcpu: &mut Vcpu<M>) -> bool {
    let [x0, x1, ..] = vcpu.context.x;
    if !OWN.contains(&(x0 as u32)) {
        return false;
    }
    calls::call(vcpu, x0, x1, |vcpu: &mut Vcpu<M>, answer: &Answer| {
        vcpu.context.set_register(0, answer.status as i64 as u64);
        for (register, value) in (1..).zip(answer.values()) {
            vcpu.context.set_register(register, *value);
        }
    });
    true
}
