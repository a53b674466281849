//! Rust's side of measure.s: one measurement of each kind, in ticks of the virtual counter.

use core::arch::global_asm;

use board::gic::{GICD_SGIR, Gic, GicV2, GicV3};
use board::psci::{self, Conduit};
use board::{Board, write_register};

global_asm!(include_str!("measure.s"));

/// Counter values from sending an interrupt to taking it.
#[repr(C)]
struct Sent {
    /// Before the instruction that sent it.
    sent: u64,
    /// At the first instruction of this CPU's interrupt vector.
    taken: u64,
}

unsafe extern "C" {
    static bench_vectors: u8;
    fn wait_spinning() -> Sent;
    fn wait_sleeping() -> Sent;
    fn send_v2_and_spin(register: u64, value: u32) -> Sent;
    fn send_v2_and_sleep(register: u64, value: u32) -> Sent;
    fn send_v3_and_spin(value: u64) -> Sent;
    fn send_v3_and_sleep(value: u64) -> Sent;
    fn time_nothing() -> u64;
    fn time_read(address: u64) -> u64;
    fn time_hvc(function: u32) -> u64;
    fn time_smc(function: u32) -> u64;
}

/// An interrupt that did not come as it should.
#[derive(Clone, Copy, Debug)]
pub struct Unexpected;

/// Directs this CPU's exceptions to the vectors of measure.s.
pub fn set_vectors() {
    write_register!("vbar_el1", &raw const bench_vectors as u64);
}

/// The cost of measuring: two counter reads in a row.
pub fn overhead() -> u64 {
    // SAFETY: the function changes nothing.
    unsafe { time_nothing() }
}

/// One 32-bit load.
///
/// # Safety
/// A device register without side effects is at `address`.
pub unsafe fn read(address: u64) -> u64 {
    // SAFETY: the caller vouches for the address.
    unsafe { time_read(address) }
}

/// One PSCI_VERSION call.
pub fn psci_version(conduit: Conduit) -> u64 {
    let function = psci::VERSION as u32;
    // SAFETY: the call only answers, by the conduit that the device tree names.
    unsafe {
        match conduit {
            Conduit::Hvc => time_hvc(function),
            Conduit::Smc => time_smc(function),
        }
    }
}

/// How a CPU waits for an interrupt.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// In a loop of one branch.
    Spinning,
    /// In WFI.
    Sleeping,
}

/// Waits for the next interrupt, which stays pending, and returns the counter at the vector. Interrupts are masked before and after.
pub fn wait(wait: Wait) -> u64 {
    // SAFETY: interrupts end in the vectors of measure.s, which return here with all preserved registers untouched.
    let sent = unsafe {
        match wait {
            Wait::Spinning => wait_spinning(),
            Wait::Sleeping => wait_sleeping(),
        }
    };
    sent.taken
}

/// Sends the SGI `intid` to CPU `target` and waits for the next interrupt; returns the counter before sending and at the vector.
pub fn send_and_wait(board: &Board, target: usize, intid: u32, wait: Wait) -> (u64, u64) {
    // SAFETY: as in `wait`; sending an SGI touches no memory.
    let Sent { sent, taken } = unsafe {
        match &board.gic {
            Gic::V2(gic) => {
                let register = gic.distributor.base + GICD_SGIR;
                let value = GicV2::sgi_value(1 << target, intid);
                match wait {
                    Wait::Spinning => send_v2_and_spin(register, value),
                    Wait::Sleeping => send_v2_and_sleep(register, value),
                }
            }
            Gic::V3(_) => {
                let value = GicV3::sgi_value(board.cpus[target], intid);
                match wait {
                    Wait::Spinning => send_v3_and_spin(value),
                    Wait::Sleeping => send_v3_and_sleep(value),
                }
            }
        }
    };
    (sent, taken)
}

/// Acknowledges the pending interrupt, which has to be `intid`, runs `quiesce` and ends the interrupt.
pub fn handle(board: &Board, intid: u32, quiesce: impl FnOnce()) -> Result<(), Unexpected> {
    let interrupt = board.gic.acknowledge().ok_or(Unexpected)?;
    let expected = interrupt.intid() == intid;
    quiesce();
    board.gic.end(interrupt);
    if expected { Ok(()) } else { Err(Unexpected) }
}
