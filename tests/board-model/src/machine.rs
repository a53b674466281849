//! The board with an image in its memory: CPUs take turns, firmware answers PSCI, and what enters a guest stays there.

use crate::board::Board;
use crate::cpu::{Cpu, Identity, Step, SystemRegisters};
use crate::fault::Fault;
use crate::stage2::{self, Leaf};

/// Instructions of a CPU's turn.
const TURN: u64 = 20_000;
/// Turns of everybody in which nothing but waiting happens, after which nothing will.
const QUIET: u32 = 3;
/// A MHz of the counter is a thousandth of an instruction a nanosecond.
const INSTRUCTIONS_PER_SECOND: u64 = 1_000_000_000;

/// PSCI (Arm DEN 0022).
const CPU_ON: u64 = 0xc400_0003;
const CPU_OFF: u64 = 0x8400_0002;
const ALREADY_ON: u64 = -4i64 as u64;
const INVALID_PARAMETERS: u64 = -2i64 as u64;

/// A guest at its first instruction.
#[derive(Clone, Debug)]
pub struct Guest {
    /// Affinity of its CPU.
    pub affinity: u64,
    /// VMID.
    pub vmid: u64,
    /// Guest physical address of the instruction.
    pub pc: u64,
    /// The instruction itself, read through the partition's tables.
    pub instruction: u32,
    /// x0: the device tree.
    pub tree: u64,
    /// The first word there.
    pub tree_magic: u32,
    /// What the partition's tables map.
    pub leaves: Vec<Leaf>,
}

/// A boot that came to its end.
#[derive(Clone, Debug)]
pub struct Booted {
    /// Guests in the order in which they begin.
    pub guests: Vec<Guest>,
    /// How many CPUs are on.
    pub cpus: usize,
    /// Instructions of all of them.
    pub instructions: u64,
}

/// Where a run was when it ended with a fault.
#[derive(Clone, Debug, thiserror::Error)]
#[error("CPU {affinity:#x} at {pc:#x}, after {instructions} instructions: {fault}")]
pub struct Stopped {
    /// Affinity of the CPU.
    pub affinity: u64,
    /// Its program counter.
    pub pc: u64,
    /// Instructions of all CPUs.
    pub instructions: u64,
    /// What happened.
    pub fault: Fault,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Off,
    Running,
    Waiting,
    Guest,
}

struct Core {
    identity: Identity,
    cpu: Cpu,
    state: State,
}

/// The machine.
pub struct Machine {
    /// The board.
    pub board: Board,
    cores: Vec<Core>,
    instructions: u64,
    guests: Vec<Guest>,
}

impl Machine {
    /// Puts an image to `load` and a device tree to `tree`, and the first CPU of the board to the image's first instruction, as the Linux boot
    /// protocol says.
    ///
    /// # Errors
    /// They do not lie in RAM.
    pub fn new(board: Board, image: &[u8], load: u64, tree: (&[u8], u64)) -> Result<Self, Fault> {
        for (bytes, address) in [(image, load), tree] {
            if !board.bus.ram.borrow_mut().write(address, bytes) {
                return Err(Fault::Tree(format!(
                    "there is no RAM for {} bytes at {address:#x}",
                    bytes.len()
                )));
            }
        }
        let core = |(index, identity): (usize, &Identity)| Core {
            identity: *identity,
            cpu: Cpu::new(index, SystemRegisters::new(identity), load, tree.1),
            state: if index == 0 {
                State::Running
            } else {
                State::Off
            },
        };
        let cores = board.cpus.iter().enumerate().map(core).collect();
        Ok(Self {
            board,
            cores,
            instructions: 0,
            guests: Vec::new(),
        })
    }

    /// What the console has said.
    pub fn console(&self) -> String {
        String::from_utf8_lossy(&self.board.sent.borrow()).into_owned()
    }

    /// Runs until every CPU that is on is in a guest or waits for an interrupt.
    ///
    /// # Errors
    /// An access or instruction that the board does not allow, or more than `most` instructions.
    pub fn run(&mut self, most: u64) -> Result<Booted, Box<Stopped>> {
        let mut quiet = 0;
        while quiet < QUIET {
            quiet += 1;
            for index in 0..self.cores.len() {
                if matches!(self.cores[index].state, State::Running | State::Waiting) {
                    let waits = self
                        .turn(index)
                        .map_err(|fault| self.stopped(index, fault))?;
                    if !waits {
                        quiet = 0;
                    }
                }
            }
            if self.instructions > most {
                return Err(self.stopped(0, Fault::Endless(most)));
            }
        }
        Ok(Booted {
            guests: self.guests.clone(),
            cpus: self
                .cores
                .iter()
                .filter(|core| core.state != State::Off)
                .count(),
            instructions: self.instructions,
        })
    }

    fn stopped(&self, index: usize, fault: Fault) -> Box<Stopped> {
        let core = &self.cores[index];
        Box::new(Stopped {
            affinity: core.identity.affinity,
            pc: core.cpu.pc,
            instructions: self.instructions,
            fault,
        })
    }

    /// One CPU's turn; true when it waits for an interrupt at the end.
    fn turn(&mut self, index: usize) -> Result<bool, Fault> {
        self.cores[index].cpu.interrupt();
        for _ in 0..TURN {
            let core = &mut self.cores[index];
            let frequency = u128::from(core.identity.frequency);
            let ticks =
                u128::from(self.instructions) * frequency / u128::from(INSTRUCTIONS_PER_SECOND);
            core.cpu.system.counter = ticks as u64;
            self.instructions += 1;
            match core.cpu.step(&mut self.board.bus)? {
                Step::Next => {}
                Step::Yield => return Ok(false),
                Step::Wait => {
                    core.state = State::Waiting;
                    return Ok(true);
                }
                Step::Guest => {
                    core.state = State::Guest;
                    self.enter(index)?;
                    return Ok(false);
                }
                Step::Firmware => self.firmware(index)?,
            }
            if self.cores[index].state == State::Off {
                return Ok(false);
            }
        }
        Ok(false)
    }

    fn firmware(&mut self, caller: usize) -> Result<(), Fault> {
        let [function, target, entry, context] =
            [0, 1, 2, 3].map(|at| self.cores[caller].cpu.x[at]);
        // SMCCC: x4 to x17 need not survive.
        for register in 4..18 {
            self.cores[caller].cpu.x[register] = 0xdead_0000_0000_0004;
        }
        let answer = match function {
            CPU_ON => self.cpu_on(target, entry, context),
            CPU_OFF => {
                self.cores[caller].state = State::Off;
                0
            }
            _ => return Err(Fault::Call(function)),
        };
        self.cores[caller].cpu.x[0] = answer;
        Ok(())
    }

    fn cpu_on(&mut self, target: u64, entry: u64, context: u64) -> u64 {
        let there = self.board.bus.ram.borrow().has(entry, 4);
        let found = self
            .cores
            .iter_mut()
            .enumerate()
            .find(|(_, core)| core.identity.affinity == target);
        match found {
            Some((index, core)) if there && core.state == State::Off => {
                core.cpu = Cpu::new(index, SystemRegisters::new(&core.identity), entry, context);
                core.state = State::Running;
                0
            }
            Some((_, core)) if core.state != State::Off => ALREADY_ON,
            _ => INVALID_PARAMETERS,
        }
    }

    /// A guest begins: its tables are read, and what it would fetch first.
    fn enter(&mut self, index: usize) -> Result<(), Fault> {
        let core = &self.cores[index];
        let ram = self.board.bus.ram.borrow();
        let leaves = stage2::leaves(&core.cpu.system, &ram)?;
        let word = |ipa: u64, what: &str| {
            let mut bytes = [0; 4];
            let place = stage2::translate(&leaves, ipa);
            let there = place.is_some_and(|place| ram.read(place, &mut bytes));
            let missing = || Fault::Guest(format!("{what} at {ipa:#x} is not in its RAM"));
            there.then_some(bytes).ok_or_else(missing)
        };
        let (pc, tree) = (core.cpu.pc, core.cpu.x[0]);
        let guest = Guest {
            affinity: core.identity.affinity,
            vmid: core.cpu.system.named("VTTBR_EL2")? >> 48,
            pc,
            instruction: u32::from_le_bytes(word(pc, "the first instruction")?),
            tree,
            tree_magic: u32::from_be_bytes(word(tree, "the device tree")?),
            leaves,
        };
        self.guests.push(guest);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bus::Bus;
    use crate::memory::Ram;

    const RAM: u64 = 0x4000_0000;

    fn machine(code: &[u32], affinities: &[u64]) -> Machine {
        let identity = |affinity: &u64| Identity {
            midr: 0x410f_d034,
            affinity: *affinity,
            memory: 0x1122,
            frequency: 1000,
            gic_registers: false,
        };
        let board = Board {
            bus: Bus::new(Ram::new([(RAM, 0x10_0000)])),
            cpus: affinities.iter().map(identity).collect(),
            sent: std::rc::Rc::default(),
            iommus: Vec::new(),
            its: Vec::new(),
            lpis: None,
            bridges: Vec::new(),
            banked: None,
        };
        let image: Vec<u8> = code.iter().flat_map(|word| word.to_le_bytes()).collect();
        Machine::new(board, &image, RAM, (&[0; 8], RAM + 0x8_0000)).unwrap()
    }

    #[test]
    fn image_that_does_not_fit_into_ram_is_refused() {
        let board = machine(&[0], &[0]).board;
        let tree = (&[0; 8][..], RAM);
        assert!(Machine::new(board, &[0; 8], RAM + 0xf_fffc, tree).is_err());
    }

    #[test]
    fn cpus_that_wait_end_the_run() {
        // 1: wfi; b 1b
        let booted = machine(&[0xd503_207f, 0x17ff_ffff], &[0, 1])
            .run(1000)
            .unwrap();
        assert_eq!((booted.cpus, booted.guests.len()), (1, 0));
    }

    #[test]
    fn loop_without_end_is_told() {
        // b .
        let stopped = machine(&[0x1400_0000], &[0]).run(100_000).unwrap_err();
        assert_eq!(stopped.fault, Fault::Endless(100_000));
    }

    #[test]
    fn access_outside_the_map_names_cpu_and_place() {
        // movz x1, #0x900, lsl #16; str x0, [x1]
        let stopped = machine(&[0xd2a1_2001, 0xf900_0020], &[0x300])
            .run(100)
            .unwrap_err();
        assert_eq!((stopped.affinity, stopped.pc), (0x300, RAM + 4));
        assert!(matches!(
            stopped.fault,
            Fault::Outside {
                address: 0x900_0000,
                ..
            }
        ));
    }

    #[test]
    fn firmware_starts_a_cpu_once_and_none_that_is_not_there() {
        // movz x0, #3; movk x0, #0xc400, lsl #16; movz x1, #0x100; adr x2, 1f; smc #0; mov x20, x0; 1: wfi; b 1b
        let code = [
            0xd280_0060,
            0xf2b8_8000,
            0xd280_2001,
            0x1000_0082,
            0xd400_0003,
            0xaa00_03f4,
            0xd503_207f,
            0x17ff_ffff,
        ];
        let mut two = machine(&code, &[0, 0x100]);
        assert_eq!(two.run(1000).unwrap().cpus, 2);
        assert_eq!(two.cores[0].cpu.x[20], 0);
        let mut one = machine(&code, &[0]);
        assert_eq!(one.run(1000).unwrap().cpus, 1);
        assert_eq!(one.cores[0].cpu.x[20], INVALID_PARAMETERS);
    }

    #[test]
    fn guest_whose_tables_are_none_is_a_fault() {
        // movz x0, #0x3c5; msr spsr_el2, x0; msr elr_el2, x0; eret
        let code = [0xd280_78a0, 0xd51c_4000, 0xd51c_4020, 0xd69f_03e0];
        let stopped = machine(&code, &[0]).run(1000).unwrap_err();
        assert!(stopped.fault.to_string().contains("HCR_EL2"), "{stopped}");
    }
}
