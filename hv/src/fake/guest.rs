//! A guest: what makes it leave, and what it sees then.

use model::device::Width;

use super::interrupts::NONE_PENDING;
use super::{FakeCpu, FakeMachine, Outcome, pend, run_on, state};
use crate::arch::aarch64::decode::Syndrome;
use crate::arch::aarch64::guest::{self, Reason};
use crate::arch::aarch64::short;
use crate::machine::Cpu;
use crate::vcpu::Vcpu;

/// PSCI CPU_ON, 64-bit.
pub const CPU_ON: u64 = 0xc400_0003;
pub const CPU_OFF: u64 = 0x8400_0002;
pub const SYSTEM_OFF: u64 = 0x8400_0008;
pub const SYSTEM_RESET: u64 = 0x8400_0009;

/// A virtual CPU and what its guest can do.
pub struct Guest {
    pub vcpu: &'static mut Vcpu<FakeMachine>,
    pub pcpu: usize,
}

impl Guest {
    pub fn bring_up(&mut self) -> Outcome {
        run_on(self.pcpu, || self.vcpu.bring_up())
    }

    /// Goes on waiting to be started.
    pub fn wait_again(&mut self) -> Outcome {
        run_on(self.pcpu, || self.vcpu.wait_for_start())
    }

    /// An exit for `reason`, with a syndrome.
    pub fn exit(&mut self, reason: Reason, syndrome: Syndrome) -> Outcome {
        state(|state| state.syndrome = syndrome);
        self.vcpu.context.entered = FakeCpu::now();
        run_on(self.pcpu, || match reason {
            Reason::Synchronous if self.short_exit() => {}
            _ => {
                guest::exit(self.vcpu, reason);
            }
        })
    }

    /// What the vectors do first: x19 to x29 are not in the context, which must not show. True when the exit is answered.
    fn short_exit(&mut self) -> bool {
        const GARBAGE: [u64; 11] = [0xdead_beef_dead_beef; 11];
        let kept: [u64; 11] = self.vcpu.context.x[19..30].try_into().unwrap();
        self.vcpu.context.x[19..30].copy_from_slice(&GARBAGE);
        let answered = short::answer(self.vcpu) == short::Verdict::Answered;
        assert_eq!(self.vcpu.context.x[19..30], GARBAGE);
        self.vcpu.context.x[19..30].copy_from_slice(&kept);
        self.vcpu.context.pc += state(|state| core::mem::take(&mut state.stepped));
        answered
    }

    fn synchronous(&mut self, class: u64, iss: u64, ipa: u64) -> Outcome {
        let syndrome = Syndrome {
            esr: class << 26 | 1 << 25 | iss,
            far: 0xffff_8000_0000_0000 | ipa & 0xfff,
            hpfar: ipa >> 12 << 4,
        };
        self.exit(Reason::Synchronous, syndrome)
    }

    /// HVC with x0 to x3. The hardware has already gone on behind the instruction.
    pub fn hvc(&mut self, arguments: [u64; 4]) -> Outcome {
        self.vcpu.context.x[..4].copy_from_slice(&arguments);
        self.vcpu.context.pc += 4;
        self.synchronous(0x16, 0, 0)
    }

    /// SMC with x0 to x3.
    pub fn smc(&mut self, arguments: [u64; 4]) -> Outcome {
        self.vcpu.context.x[..4].copy_from_slice(&arguments);
        self.synchronous(0x17, 0, 0)
    }

    /// A store of `value` from x5.
    pub fn store(&mut self, ipa: u64, width: Width, value: u64) -> Outcome {
        self.vcpu.context.x[5] = value;
        self.synchronous(0x24, access(width, 5) | 1 << 6, ipa)
    }

    /// A load into x5, and what is there then.
    pub fn load(&mut self, ipa: u64, width: Width) -> u64 {
        self.vcpu.context.x[5] = u64::MAX;
        assert_eq!(self.access(ipa, access(width, 5)), Outcome::Resumed);
        self.vcpu.context.x[5]
    }

    /// A data access with an instruction syndrome.
    pub fn access(&mut self, ipa: u64, iss: u64) -> Outcome {
        self.synchronous(0x24, iss, ipa)
    }

    /// A jump.
    pub fn fetch(&mut self, ipa: u64, iss: u64) -> Outcome {
        self.synchronous(0x20, iss, ipa)
    }

    /// MRS or MSR of the register (Op0, Op1, CRn, CRm, Op2) with x5.
    pub fn system_register(&mut self, register: [u64; 5], write: bool) -> Outcome {
        let [op0, op1, crn, crm, op2] = register;
        let iss = op0 << 20 | op2 << 17 | op1 << 14 | crn << 10 | 5 << 5 | crm << 1;
        self.synchronous(0x18, iss | u64::from(!write), 0)
    }

    /// A trapped WFI.
    pub fn wait(&mut self) -> Outcome {
        self.synchronous(0x01, 0, 0)
    }

    /// A trapped use of floating point.
    pub fn use_floating_point(&mut self) -> Outcome {
        self.synchronous(0x07, 0, 0)
    }

    /// A physical interrupt of this pCPU.
    pub fn interrupt(&mut self, intid: u32) -> Outcome {
        pend(self.pcpu, intid);
        self.pending_interrupt()
    }

    /// The oldest interrupt that waits for this pCPU, such as a kick.
    pub fn pending_interrupt(&mut self) -> Outcome {
        let acknowledged = state(|state| state.pending[self.pcpu].pop_front());
        let acknowledged = acknowledged.unwrap_or(NONE_PENDING);
        self.exit(Reason::Interrupt { acknowledged }, FakeCpu::syndrome())
    }

    /// Result of the last call.
    pub fn x0(&self) -> i64 {
        self.vcpu.context.x[0].cast_signed()
    }

    pub fn pc(&self) -> u64 {
        self.vcpu.context.pc
    }
}

/// Instruction syndrome of a translation fault at level 3 by a load of `width` into `register`.
pub const fn access(width: Width, register: u64) -> u64 {
    let size = width.bytes().trailing_zeros() as u64;
    1 << 24 | size << 22 | register << 16 | 0x07
}
