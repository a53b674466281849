//! The command queue (Arm IHI 0070, chapter 4 and section 7.1).

use model::{Pa, Vmid};

use super::register_map::{CMDQ_CONS, CMDQ_ERR, CMDQ_PROD, GERROR, GERRORN};
use crate::memory::{SharedMemory, publish};
use crate::registers::PATIENCE;
use crate::{IommuError, RegisterFrame};

/// Double words of a command.
const WORDS: usize = 2;
/// A page holds 2^8 commands.
const PAGE_BITS: u8 = 8;
/// CMDQ_CONS.ERR.
const ERR: u32 = 24;

/// The commands that the driver gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// CMD_CFGI_ALL: all stream table entries that the SMMU keeps are forgotten.
    CfgiAll,
    /// CMD_TLBI_EL2_ALL: so are translations of the EL2 kind.
    TlbiEl2All,
    /// CMD_TLBI_S12_VMALL: and those of one partition.
    TlbiS12Vmall(Vmid),
    /// CMD_TLBI_NSNH_ALL: and those of all partitions.
    TlbiNsnhAll,
    /// CMD_SYNC: done when everything before it is, accesses that used what is forgotten included.
    Sync,
}

impl Command {
    /// Its first double word; the second one says "all streams" for CFGI_ALL (Range, bits 4:0) and is ignored by the others.
    const fn encode(self) -> [u64; WORDS] {
        let first = match self {
            Self::CfgiAll => 0x04,
            Self::TlbiEl2All => 0x20,
            Self::TlbiS12Vmall(vmid) => 0x28 | (vmid.get() as u64) << 32,
            Self::TlbiNsnhAll => 0x30,
            // CS = 0: no interrupt, no event; its completion shows in CMDQ_CONS.
            Self::Sync => 0x46,
        };
        match self {
            Self::CfgiAll => [first, 31],
            _ => [first, 0],
        }
    }
}

/// The queue, in a page of its own. It is empty between two calls: each waits for its commands' end.
pub struct CommandQueue<'a> {
    page: SharedMemory<'a>,
    bits: u8,
    /// Index of the next command, with the bit above it that changes at each turn.
    next: u32,
}

impl<'a> CommandQueue<'a> {
    /// An empty queue, on an SMMU that takes up to 2^`most_bits` commands.
    pub fn new(page: SharedMemory<'a>, most_bits: u8) -> Self {
        page.clear();
        Self {
            page,
            bits: most_bits.min(PAGE_BITS),
            next: 0,
        }
    }

    /// Where it is.
    pub fn base(&self) -> Pa {
        self.page.base()
    }

    /// Its size as a power of two.
    pub fn bits(&self) -> u8 {
        self.bits
    }

    /// Gives the commands and waits until all have taken effect.
    ///
    /// # Errors
    /// [`IommuError::Refused`] names the first command that the SMMU did not take; the others have taken effect. [`IommuError::Stuck`]
    /// when it does not come to an end within bounds.
    pub fn execute(
        &mut self,
        registers: &mut impl RegisterFrame,
        commands: &[Command],
    ) -> Result<(), IommuError> {
        let mut refused = None;
        for command in commands.iter().chain(&[Command::Sync]) {
            let full = self.next ^ 1 << self.bits;
            self.wait(registers, &mut refused, |taken| taken != full)?;
            self.write(self.next, *command);
            self.next = (self.next + 1) & self.turn();
            publish();
            registers.write(CMDQ_PROD, self.next);
        }
        let end = self.next;
        self.wait(registers, &mut refused, |taken| taken == end)?;
        refused.map_or(Ok(()), Err)
    }

    /// Bits of an index with its turn.
    fn turn(&self) -> u32 {
        (2 << self.bits) - 1
    }

    fn write(&self, index: u32, command: Command) {
        let at = self.place(index);
        for (offset, word) in command.encode().into_iter().enumerate() {
            self.page.write(at + offset, word);
        }
    }

    /// First word of the entry at an index.
    fn place(&self, index: u32) -> usize {
        (index & (self.turn() >> 1)) as usize * WORDS
    }

    /// Waits until `done` holds for the index up to which commands are taken. A command that is refused stops the queue: it is replaced,
    /// and the SMMU told to go on.
    fn wait(
        &mut self,
        registers: &mut impl RegisterFrame,
        refused: &mut Option<IommuError>,
        done: impl Fn(u32) -> bool,
    ) -> Result<(), IommuError> {
        for _ in 0..PATIENCE {
            let taken = registers.read(CMDQ_CONS);
            if done(taken & self.turn()) {
                return Ok(());
            }
            let acknowledged = registers.read(GERRORN);
            if (registers.read(GERROR) ^ acknowledged) & CMDQ_ERR != 0 {
                // The error's reason and place are sure to stand there only now.
                let error = self.replace(registers.read(CMDQ_CONS));
                refused.get_or_insert(error);
                publish();
                registers.write(GERRORN, acknowledged ^ CMDQ_ERR);
            }
            core::hint::spin_loop();
        }
        Err(refused.unwrap_or(IommuError::Stuck(CMDQ_CONS)))
    }

    /// Puts a harmless command in the place of the one that `taken` (CMDQ_CONS) complains of.
    fn replace(&self, taken: u32) -> IommuError {
        let opcode = self.page.read(self.place(taken)) as u8;
        self.write(taken, Command::Sync);
        IommuError::Refused {
            opcode,
            reason: (taken >> ERR & 0x7f) as u8,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_encoded_as_in_the_manual() {
        let encoded = [
            Command::CfgiAll,
            Command::TlbiEl2All,
            Command::TlbiS12Vmall(Vmid::new(0xa5)),
            Command::TlbiNsnhAll,
            Command::Sync,
        ]
        .map(Command::encode);
        let expected = [
            [0x04, 31],
            [0x20, 0],
            [0xa5_0000_0028, 0],
            [0x30, 0],
            [0x46, 0],
        ];
        assert_eq!(encoded, expected);
    }
}
