//! Hypercalls and firmware calls that nobody defined, and PSCI with bad arguments.

use core::arch::asm;

use board::psci::{self, Conduit};
use board::random::Random;
use board::timer::{self, Timer};
use board::{Board, println};

use crate::probe::guarded;
use crate::report::{Answer, Attack, Tally};

const CALLS: u64 = 10_000;
/// Function identifiers of owner 4, the standard secure services: PSCI is there, and it is attacked by hand.
const STANDARD_SECURE: u64 = 0x0400_0000;
const OWNER: u64 = 0x3f00_0000;
/// No board has a CPU with this affinity.
const NO_CPU: u64 = 0xff_00fe_fdfc;
const NOWHERE: u64 = 0x8000_0000;

/// PSCI calls with arguments that must be refused, or that nothing here implements (Arm DEN 0022, chapter 5).
const PSCI_CALLS: [(&str, u64, [u64; 3]); 18] = [
    ("CPU_ON of no CPU", psci::CPU_ON, [NO_CPU, 0x4020_0000, 0]),
    (
        "CPU_ON of no CPU, nowhere",
        psci::CPU_ON,
        [NO_CPU, NOWHERE, 0],
    ),
    (
        "CPU_ON with reserved bits",
        psci::CPU_ON,
        [!0, 0x4020_0000, 0],
    ),
    (
        "CPU_ON, 32-bit, of no CPU",
        0x8400_0003,
        [0x00fe_fdfc, 0x4020_0000, 0],
    ),
    ("CPU_ON of itself", psci::CPU_ON, [0, 0x4020_0000, 0]),
    (
        "AFFINITY_INFO of no CPU",
        psci::AFFINITY_INFO,
        [NO_CPU, 0, 0],
    ),
    (
        "AFFINITY_INFO of a bad level",
        psci::AFFINITY_INFO,
        [0, 77, 0],
    ),
    ("MIGRATE", 0xc400_0005, [1, 0, 0]),
    ("MIGRATE_INFO_UP_CPU", 0xc400_0007, [0, 0, 0]),
    ("CPU_FREEZE", 0x8400_000b, [0, 0, 0]),
    ("NODE_HW_STATE", 0xc400_000d, [NO_CPU, 0, 0]),
    ("SYSTEM_SUSPEND nowhere", 0xc400_000e, [NOWHERE, 0, 0]),
    ("SET_SUSPEND_MODE", 0x8400_000f, [99, 0, 0]),
    ("STAT_RESIDENCY", 0xc400_0010, [NO_CPU, 0, 0]),
    ("SYSTEM_RESET2 of a bad type", 0xc400_0012, [0x7fff, 0, 0]),
    ("MEM_PROTECT", 0x8400_0013, [1, 0, 0]),
    ("MEM_PROTECT_CHECK_RANGE", 0xc400_0014, [NOWHERE, !0, 0]),
    ("FEATURES of everything", psci::FEATURES, [!0, 0, 0]),
];

/// All attacks by calls that this guest survives.
pub fn run(board: &Board, tally: &mut Tally) {
    random_calls(tally, "HVC", Conduit::Hvc);
    random_calls(tally, "SMC", Conduit::Smc);
    immediates(tally);
    if board.psci.is_some() {
        for (name, function, arguments) in PSCI_CALLS {
            let mut attack = Attack::default();
            attack.add(call(|| psci_call(function, arguments)));
            attack.finish(tally, format_args!("PSCI {name}"));
        }
        suspend_burst(tally);
    }
}

fn call(code: impl FnOnce() -> i64 + Copy) -> Answer {
    match guarded(code) {
        Ok(value) => Answer::Returned(value),
        Err(fault) => Answer::of_fault(fault, None),
    }
}

fn psci_call(function: u64, arguments: [u64; 3]) -> i64 {
    // SAFETY: each call made here is one that must be refused, or that returns.
    unsafe { psci::call(function, arguments) }
}

/// Calls with random function identifiers; half of the arguments point at foreign memory.
pub fn random_calls(tally: &mut Tally, name: &str, conduit: Conduit) {
    let mut random = Random::new(CALLS);
    let mut attack = Attack::default();
    let mut calls = 0;
    while calls < CALLS {
        let function = if calls % 16 == 0 {
            random.draw()
        } else {
            random.draw() & 0xffff_ffff
        };
        if function & OWNER == STANDARD_SECURE {
            continue;
        }
        let arguments = [
            NOWHERE + (random.draw() & 0xffff_f000),
            random.draw(),
            random.draw(),
        ];
        // SAFETY: a fault guard is active; no known function has such an identifier.
        attack.add(call(|| unsafe { conduit.call(function, arguments) }));
        calls += 1;
    }
    attack.finish(tally, format_args!("{name} with random functions"));
}

/// HVC and SMC with immediates that the calling convention does not know.
fn immediates(tally: &mut Tally) {
    let mut attack = Attack::default();
    macro_rules! with_immediate {
        ($instruction:literal) => {
            attack.add(call(|| {
                let result: i64;
                // SAFETY: a fault guard is active; if the call is served, PSCI_VERSION only answers.
                unsafe { asm!($instruction, inlateout("x0") psci::VERSION => result, clobber_abi("C")) };
                result
            }))
        };
    }
    with_immediate!("hvc #1");
    with_immediate!("hvc #0x4a48");
    with_immediate!("hvc #0xffff");
    with_immediate!("smc #1");
    with_immediate!("smc #0xffff");
    attack.finish(tally, format_args!("HVC and SMC with other immediates"));
}

/// Standby requests in quick succession; the timer ends each. Interrupts are masked, so none is taken.
fn suspend_burst(tally: &mut Tally) {
    const REQUESTS: u32 = 200;
    let mut attack = Attack::default();
    for _ in 0..REQUESTS {
        Timer::Virtual.arm(Timer::Virtual.now() + timer::ticks(20));
        attack.add(call(|| psci_call(psci::CPU_SUSPEND, [0; 3])));
    }
    Timer::Virtual.disarm();
    attack.finish(tally, format_args!("PSCI CPU_SUSPEND burst"));
}

/// Starts each other CPU of this partition where it has no memory. What becomes of those CPUs is not seen from here.
pub fn start_other_cpus_nowhere(board: &Board, tally: &mut Tally) {
    let mut attack = Attack::default();
    for &affinity in board.cpus.iter().skip(1) {
        attack.add(call(|| psci_call(psci::CPU_ON, [affinity, NOWHERE, 0])));
    }
    if board.cpus.len() > 1 {
        println!(
            "vandal: starting {} CPUs at {NOWHERE:#x}",
            board.cpus.len() - 1
        );
    }
    attack.finish(tally, format_args!("PSCI CPU_ON of my other CPUs, nowhere"));
}
