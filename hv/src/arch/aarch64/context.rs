//! The registers of a guest while the hypervisor runs, in the layout that `vectors` stores and loads.

use gic::virt::Grants;

use super::vector;
use crate::partition::Requests;

/// General registers and return state of one virtual CPU. Everything else of the guest stays in the hardware while its pCPU is its own.
#[repr(C, align(64))]
#[derive(Debug)]
pub struct Context {
    /// x0 to x30.
    pub x: [u64; 31],
    /// `ELR_EL2`: where the guest goes on.
    pub pc: u64,
    /// `SPSR_EL2`: its processor state.
    pub pstate: u64,
    /// `CNTPCT_EL0` right after the exit.
    pub entered: u64,
    /// The functions that `vectors` calls, by the reason of the exit.
    pub handlers: [usize; vector::HANDLERS],
    /// What the vectors may deliver by themselves.
    pub grants: &'static Grants,
    /// What others ask of this virtual CPU (see [`request`](crate::partition::request)).
    pub requests: &'static Requests,
    /// Addresses of `GICC` and `GICH`; zero where both are system registers.
    pub frames: [usize; 2],
    /// Whose it is, for the trace.
    #[cfg(feature = "trace")]
    pub who: u64,
}

/// EL1 with its own stack pointer, all of DAIF masked: the state in which PSCI starts a CPU (DEN 0022D, 6.4).
pub const PSTATE_EL1H_MASKED: u64 = 0x3c5;

impl Context {
    /// All zero, never run.
    pub const fn new(
        handlers: [usize; vector::HANDLERS],
        grants: &'static Grants,
        requests: &'static Requests,
        frames: [usize; 2],
    ) -> Self {
        Self {
            x: [0; 31],
            pc: 0,
            pstate: PSTATE_EL1H_MASKED,
            entered: 0,
            handlers,
            grants,
            requests,
            frames,
            #[cfg(feature = "trace")]
            who: crate::trace::Who::NOBODY.word(),
        }
    }

    /// As a CPU starts: at `entry`, with `context` in x0 and zeros elsewhere.
    pub fn start(&mut self, entry: u64, context: u64) {
        self.x = [0; 31];
        self.x[0] = context;
        self.pc = entry;
        self.pstate = PSTATE_EL1H_MASKED;
    }

    /// General register `index`; 31 is the zero register.
    pub fn register(&self, index: u8) -> u64 {
        self.x.get(usize::from(index)).copied().unwrap_or(0)
    }

    /// Writes general register `index`; 31 ignores it.
    pub fn set_register(&mut self, index: u8, value: u64) {
        if let Some(register) = self.x.get_mut(usize::from(index)) {
            *register = value;
        }
    }

    /// Goes on behind the trapped instruction.
    pub fn skip_instruction(&mut self, long: bool) {
        self.pc = self.pc.wrapping_add(if long { 4 } else { 2 });
    }
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use super::*;

    static GRANTS: Grants = Grants::NEW;
    static REQUESTS: LazyLock<Requests> = LazyLock::new(Requests::default);

    fn context() -> Context {
        Context::new([0; vector::HANDLERS], &GRANTS, &REQUESTS, [0; 2])
    }

    #[test]
    fn register_31_reads_zero_and_swallows_writes() {
        let mut context = context();
        context.set_register(31, 5);
        assert_eq!(context.register(31), 0);
        assert_eq!(context.x, [0; 31]);
    }

    #[test]
    fn started_cpu_finds_its_context_in_x0_and_nothing_else() {
        let mut context = context();
        context.x = [9; 31];
        context.start(0x4000_0000, 42);
        assert_eq!(context.x[0], 42);
        assert!(context.x[1..].iter().all(|&x| x == 0));
        assert_eq!((context.pc, context.pstate), (0x4000_0000, 0x3c5));
    }
}
