//! The page by which programs of a partition make Bulkhead's own [calls](super::calls): a store is a trapped access and makes one, as HVC does for
//! its kernel. [`model::call::page`] has the registers.
//!
//! # Principles
//! - What the system file grants, it grants to the partition: a call through the page is one of its virtual CPU, and fails like that.
//! - The answer to the last call is all the state, and a start forgets it. Who shares a page among several programs has them take turns.

use core::sync::atomic::{AtomicU64, Ordering};

use model::call::page::{IDENTITY, MAGIC, STATUS, number};
use model::call::{MOST_VALUES, Status};
use model::device::Width;
use model::memory::PAGE;

use super::calls::{self, Answer};
use crate::exit::MmioAccess;
use crate::machine::Machine;
use crate::vcpu::Vcpu;

/// The answer to the last call of a partition through its page: the status and its values, those that were not given as 0.
#[derive(Debug)]
pub(crate) struct LastAnswer([AtomicU64; 1 + MOST_VALUES]);

impl LastAnswer {
    pub const fn new() -> Self {
        Self([const { AtomicU64::new(0) }; 1 + MOST_VALUES])
    }

    /// As if there had been no call.
    pub fn forget(&self) {
        self.put(Status::Success, &[]);
    }

    fn put(&self, status: Status, values: &[u64]) {
        let values = values.iter().copied().chain(core::iter::repeat(0));
        let all = core::iter::once(status as i64 as u64).chain(values);
        for (word, value) in self.0.iter().zip(all) {
            word.store(value, Ordering::Relaxed);
        }
    }

    /// The register at this offset.
    fn get(&self, offset: u64) -> u64 {
        let index = offset.checked_sub(STATUS).map(|offset| offset / 8);
        let word = index.and_then(|index| self.0.get(usize::try_from(index).ok()?));
        word.map_or(0, |word| word.load(Ordering::Relaxed))
    }
}

/// An access of 64 bits to the page makes a call or reads a register; others read as zero and store nothing. False when it is no access to the page, or a
/// misaligned one. The guest goes on behind the instruction, which is `long` or not, unless the call has stopped it.
pub(crate) fn access<M: Machine>(vcpu: &mut Vcpu<M>, access: MmioAccess, long: bool) -> bool {
    let page = vcpu.partition.config.monitor.page;
    let offset = page.and_then(|page| access.ipa.offset_from(page));
    let Some(offset) = offset.filter(|offset| *offset < PAGE) else {
        return false;
    };
    if access.aligned().is_err() {
        return false;
    }
    // First: a call may start the partition anew, at another instruction.
    vcpu.context.skip_instruction(long);
    let whole = access.width == Width::Double;
    if !access.write {
        let value = match offset {
            IDENTITY => MAGIC,
            _ => vcpu.partition.health.answer.get(offset),
        };
        let value = if whole { value } else { 0 };
        vcpu.context.set_register(access.register, value);
    } else if let Some(number) = number(offset).filter(|_| whole) {
        let argument = vcpu.context.register(access.register);
        let put = |vcpu: &mut Vcpu<M>, answer: &Answer| {
            let last = &vcpu.partition.health.answer;
            last.put(answer.status, answer.values());
        };
        calls::call(vcpu, number.into(), argument, put);
    }
    true
}

#[cfg(test)]
mod tests;
