//! Measures what a guest pays for what it does most: calls, device registers, timer interrupts and SGIs.
//!
//! The unit is a tick of the system counter. Nothing is subtracted; `bench: overhead` says what measuring costs.
#![no_std]
#![no_main]

mod measure;
mod peer;
mod samples;

use board::gic::{Gic, SGI_FRAME};
use board::timer::{self, Timer};
use board::{Board, cpu, println, psci};

use measure::{Unexpected, Wait};
use samples::row;

const GICD_TYPER: u64 = 0x004;
/// Of INTIDs 32 to 63.
const GICD_ISENABLER1: u64 = 0x104;
/// Of SGIs and PPIs, in the redistributor's SGI frame.
const GICR_ISENABLER0: u64 = 0x100;
const UARTFR: u64 = 0x18;

/// From arming the timer to its deadline, for a CPU that spins: longer than it takes to start spinning.
const SPIN_US: u64 = 20;
/// The same for a CPU that sleeps.
const SLEEP_US: u64 = 1_000;
/// Time for the other CPU to fall asleep again.
const SETTLE_US: u64 = 20;

board::entry!(main);

fn main(board: &'static Board) -> ! {
    println!(
        "bench: {} CPUs, GICv{}, counter at {} Hz",
        board.cpus.len(),
        board.gic.version(),
        timer::frequency()
    );
    println!("bench: started at {}", board::boot::started_at());
    println!("bench: overhead {}", measure::overhead());
    measure::set_vectors();
    board.gic.init_distributor();
    board.gic.init_cpu();
    board.gic.enable(board.virtual_timer);
    let measured = registers(board)
        .and_then(|()| timers(board))
        .and_then(|()| sgis(board));
    match measured {
        Ok(()) => println!("bench: done"),
        Err(Unexpected) => {
            println!("bench: FAILED, an interrupt or answer was not the expected one")
        }
    }
    psci::system_off()
}

/// Calls and register reads.
fn registers(board: &Board) -> Result<(), Unexpected> {
    if let Some(conduit) = board.psci {
        row("psci-version", || Ok(measure::psci_version(conduit)))?;
    }
    let distributor = board.gic.distributor().base;
    row_of_reads("gicd-typer", distributor + GICD_TYPER)?;
    row_of_reads("gicd-isenabler1", distributor + GICD_ISENABLER1)?;
    if let Gic::V3(gic) = board.gic {
        let frame = gic.redistributor(cpu::affinity()).ok_or(Unexpected)?;
        row_of_reads("gicr-isenabler0", frame + SGI_FRAME + GICR_ISENABLER0)?;
    }
    row_of_reads("uart-flag", board.uart.base + UARTFR)
}

fn row_of_reads(name: &str, address: u64) -> Result<(), Unexpected> {
    row(name, || {
        // SAFETY: the caller names registers of this board's devices, none of which changes by being read.
        Ok(unsafe { measure::read(address) })
    })
}

/// Virtual timer interrupts.
fn timers(board: &Board) -> Result<(), Unexpected> {
    row("timer-spin", || {
        timer_interrupt(board, SPIN_US, Wait::Spinning)
    })?;
    row("timer-wfi", || {
        timer_interrupt(board, SLEEP_US, Wait::Sleeping)
    })
}

/// Ticks from the timer's deadline to the interrupt vector.
fn timer_interrupt(board: &Board, delay_us: u64, wait: Wait) -> Result<u64, Unexpected> {
    let deadline = Timer::Virtual.now() + timer::ticks(delay_us);
    Timer::Virtual.arm(deadline);
    let taken = measure::wait(wait);
    measure::handle(board, board.virtual_timer, || Timer::Virtual.disarm())?;
    taken.checked_sub(deadline).ok_or(Unexpected)
}

/// SGIs to this CPU and to another.
fn sgis(board: &Board) -> Result<(), Unexpected> {
    row("sgi-self", || {
        let (sent, taken) = measure::send_and_wait(board, 0, peer::PING, Wait::Spinning);
        measure::handle(board, peer::PING, || ())?;
        Ok(taken - sent)
    })?;
    if board.cpus.len() < 2 {
        println!("bench: sgi-other needs a second CPU");
        return Ok(());
    }
    peer::start(board, 1)?;
    row("sgi-other", || {
        timer_interrupt(board, SETTLE_US, Wait::Sleeping)?;
        peer::ping(board, 1)
    })
}
