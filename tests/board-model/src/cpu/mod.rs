//! A CPU at EL2 that runs what the image is compiled to: A64 without floating point and SIMD (Arm ARM, chapter C4 and C6).

mod branches;
mod immediate;
mod loads;
mod registers;
mod system;
mod translation;

pub use system::{Identity, SystemRegisters};
pub(crate) use translation::WIDTHS;

use crate::bus::Bus;
use crate::fault::Fault;
use translation::Tlb;

/// What an instruction means for the board.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// On to the next one.
    Next,
    /// On, but others go first.
    Yield,
    /// The CPU waits for an interrupt.
    Wait,
    /// Firmware is called, with x0 to x3; the answer belongs into x0.
    Firmware,
    /// A guest begins at EL1.
    Guest,
}

/// Condition flags.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Flags {
    n: bool,
    z: bool,
    c: bool,
    v: bool,
}

impl Flags {
    /// From bits N, Z, C, V of a four-bit number.
    fn from_bits(bits: u32) -> Self {
        Self {
            n: bits & 8 != 0,
            z: bits & 4 != 0,
            c: bits & 2 != 0,
            v: bits & 1 != 0,
        }
    }

    /// C1.2.4: whether a condition holds.
    fn hold(self, condition: u32) -> bool {
        let met = match condition >> 1 {
            0 => self.z,
            1 => self.c,
            2 => self.n,
            3 => self.v,
            4 => self.c && !self.z,
            5 => self.n == self.v,
            6 => self.n == self.v && !self.z,
            _ => return true,
        };
        met != (condition & 1 != 0)
    }
}

/// A CPU.
pub struct Cpu {
    /// Its number on the bus.
    pub index: usize,
    /// x0 to x30.
    pub x: [u64; 31],
    /// Stack pointer of EL2.
    pub sp: u64,
    /// Where it is.
    pub pc: u64,
    /// Its system registers.
    pub system: SystemRegisters,
    pub(crate) flags: Flags,
    /// The exclusive monitor: address and size.
    exclusive: Option<(u64, usize)>,
    tlb: Tlb,
}

impl Cpu {
    /// A CPU that firmware enters at `pc` at EL2, with the MMU off and `x0` in its first register.
    pub fn new(index: usize, system: SystemRegisters, pc: u64, x0: u64) -> Self {
        // Firmware leaves no register as it should be.
        let mut x = [0xdead_0000_dead_0000; 31];
        x[0] = x0;
        Self {
            index,
            x,
            sp: 0xdead_0000_dead_0008,
            pc,
            system,
            flags: Flags::default(),
            exclusive: None,
            tlb: Tlb::default(),
        }
    }

    /// Another CPU runs meanwhile: an exclusive access that was begun fails.
    pub fn interrupt(&mut self) {
        self.exclusive = None;
    }

    /// Runs one instruction.
    ///
    /// # Errors
    /// What the board does not allow. The program counter is still at the instruction.
    pub fn step(&mut self, bus: &mut Bus) -> Result<Step, Fault> {
        let word = self.fetch(bus)?;
        // C4.1: bits 28 to 25 tell the groups apart.
        let step = match word >> 25 & 0xf {
            0b1000 | 0b1001 => self.immediate(word)?,
            0b1010 | 0b1011 => return self.branch(bus, word),
            0b0100 | 0b0110 | 0b1100 | 0b1110 => self.load_or_store(bus, word)?,
            0b0101 | 0b1101 => self.register(word)?,
            _ => return Err(Fault::Instruction(word)),
        };
        self.pc += 4;
        Ok(step)
    }

    /// A general register; 31 is zero.
    fn get(&self, number: u32) -> u64 {
        self.x.get(number as usize).copied().unwrap_or(0)
    }

    /// Sets a general register; 31 is nothing. A 32-bit result clears the upper half.
    fn set(&mut self, number: u32, wide: bool, value: u64) {
        if let Some(place) = self.x.get_mut(number as usize) {
            *place = if wide { value } else { value & 0xffff_ffff };
        }
    }

    /// A general register; 31 is the stack pointer.
    fn get_sp(&self, number: u32) -> u64 {
        if number == 31 {
            self.sp
        } else {
            self.get(number)
        }
    }

    /// Sets a general register; 31 is the stack pointer.
    fn set_sp(&mut self, number: u32, wide: bool, value: u64) {
        match number {
            31 => self.sp = if wide { value } else { value & 0xffff_ffff },
            _ => self.set(number, wide, value),
        }
    }

    /// `AddWithCarry` (shared/functions/integer): the sum and its flags.
    fn add(wide: bool, a: u64, b: u64, carry: bool) -> (u64, Flags) {
        let bits = if wide { 64 } else { 32 };
        let mask = u64::MAX >> (64 - bits);
        let (a, b) = (a & mask, b & mask);
        let sum = u128::from(a) + u128::from(b) + u128::from(carry);
        let result = sum as u64 & mask;
        let sign = |value: u64| value >> (bits - 1) & 1 != 0;
        let flags = Flags {
            n: sign(result),
            z: result == 0,
            c: sum >> bits != 0,
            v: sign(a) == sign(b) && sign(a) != sign(result),
        };
        (result, flags)
    }

    /// Flags of a logical result.
    fn logical_flags(wide: bool, value: u64) -> Flags {
        let value = if wide { value } else { value & 0xffff_ffff };
        Flags {
            n: value >> (if wide { 63 } else { 31 }) & 1 != 0,
            z: value == 0,
            c: false,
            v: false,
        }
    }
}

/// Bits `low` and up of an instruction, `count` of them.
const fn field(word: u32, low: u32, count: u32) -> u32 {
    word >> low & ((1 << count) - 1)
}

/// A number of `bits` bits with a sign.
const fn signed(value: u32, bits: u32) -> u64 {
    let shift = 64 - bits;
    (((value as u64) << shift) as i64 >> shift) as u64
}

#[cfg(test)]
mod tests;
