//! CPU_ON, CPU_OFF and AFFINITY_INFO: right calls work, wrong ones get the error that PSCI defines.

use board::psci::{ALREADY_ON, INVALID_PARAMETERS, OFF, SUCCESS};
use board::{Board, println, psci, timer};

use crate::{Failure, PATIENCE_US, worker};

/// How often each CPU is switched off and on again.
const CYCLES: u32 = 10;
/// No board has a CPU with this affinity.
const NO_CPU: u64 = 0xff_00fe_fdfc;

fn expect(answer: i64, expected: i64, failure: Failure) -> Result<(), Failure> {
    if answer == expected {
        return Ok(());
    }
    println!("smp: got {answer}, expected {expected}");
    Err(failure)
}

/// Calls that change nothing, before any other CPU runs.
pub fn check_answers(board: &Board) -> Result<(), Failure> {
    // SAFETY: these calls only answer.
    let (version, features, unknown) = unsafe {
        (
            psci::call(psci::VERSION, [0; 3]),
            psci::call(psci::FEATURES, [psci::CPU_ON, 0, 0]),
            psci::call(psci::FEATURES, [0x8400_ffff, 0, 0]),
        )
    };
    println!("smp: PSCI {}.{}", version >> 16, version & 0xffff);
    expect(features, SUCCESS, "PSCI_FEATURES of CPU_ON")?;
    expect(
        unknown,
        psci::NOT_SUPPORTED,
        "PSCI_FEATURES of an unknown function",
    )?;
    expect(
        psci::affinity_info(NO_CPU),
        INVALID_PARAMETERS,
        "AFFINITY_INFO of no CPU",
    )?;
    expect(
        psci::affinity_info(board.cpus[0]),
        SUCCESS,
        "AFFINITY_INFO of the running CPU",
    )?;
    expect(
        psci::cpu_on(board, 0, worker::work),
        ALREADY_ON,
        "CPU_ON of the running CPU",
    )?;
    for &affinity in &board.cpus[1..] {
        expect(
            psci::affinity_info(affinity),
            OFF,
            "AFFINITY_INFO of a CPU not yet started",
        )?;
    }
    // SAFETY: no CPU has this affinity, so none runs anything.
    let nobody = unsafe { psci::call(psci::CPU_ON, [NO_CPU, 0x4020_0000, 0]) };
    expect(nobody, INVALID_PARAMETERS, "CPU_ON of no CPU")?;
    println!("smp: PSCI answers are right");
    Ok(())
}

/// Starts every other CPU; each announces itself.
pub fn start_all(board: &Board) -> Result<(), Failure> {
    for index in 1..board.cpus.len() {
        expect(
            psci::cpu_on(board, index, worker::announce_and_work),
            SUCCESS,
            "CPU_ON",
        )?;
    }
    (1..board.cpus.len()).try_for_each(worker::wait_idle)
}

/// Calls that answer differently now that all CPUs run.
pub fn check_running(board: &Board) -> Result<(), Failure> {
    for (index, &affinity) in board.cpus.iter().enumerate() {
        expect(
            psci::affinity_info(affinity),
            SUCCESS,
            "AFFINITY_INFO of a started CPU",
        )?;
        if index > 0 {
            expect(
                psci::cpu_on(board, index, worker::work),
                ALREADY_ON,
                "CPU_ON of a started CPU",
            )?;
        }
    }
    Ok(())
}

/// Switches every other CPU off and on again, [`CYCLES`] times, and leaves it off.
pub fn cycle_all(board: &Board) -> Result<(), Failure> {
    for (index, &affinity) in board.cpus.iter().enumerate().skip(1) {
        for _ in 0..CYCLES {
            switch_off(board, index, affinity)?;
            expect(
                psci::cpu_on(board, index, worker::work),
                SUCCESS,
                "CPU_ON after CPU_OFF",
            )?;
            worker::wait_idle(index)?;
        }
        switch_off(board, index, affinity)?;
        println!("smp: cpu {index} went off and on {CYCLES} times");
    }
    Ok(())
}

fn switch_off(board: &Board, index: usize, affinity: u64) -> Result<(), Failure> {
    worker::switch_off(board, index);
    if timer::wait_until(PATIENCE_US, || psci::affinity_info(affinity) == OFF) {
        Ok(())
    } else {
        Err("AFFINITY_INFO never said off after CPU_OFF")
    }
}
