//! The invalidation queue (Intel 671081, 6.5.2).

use model::{Pa, Vmid};

use super::register_map::{FSTS, IQE, IQH, IQT};
use crate::memory::{SharedMemory, publish};
use crate::registers::PATIENCE;
use crate::{IommuError, RegisterFrame};

/// Double words of a descriptor.
const WORDS: usize = 2;
/// Descriptors of a page.
const LENGTH: usize = 256;
/// Where an index stands in IQH and IQT.
const INDEX: u32 = 4;

/// What the driver has the hardware forget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// All context entries that it keeps.
    Contexts,
    /// All translations.
    Translations,
    /// Those of one partition.
    TranslationsOf(Vmid),
    /// All interrupt table entries.
    Interrupts,
}

impl Command {
    /// A descriptor's type is in its lowest bits, how much is meant above them. `drains` asks for accesses under way to have ended.
    const fn encode(self, drains: u64) -> u64 {
        match self {
            Self::Contexts => 0x1 | 1 << 4,
            Self::Translations => 0x2 | 1 << 4 | drains,
            Self::TranslationsOf(vmid) => 0x2 | 2 << 4 | drains | (vmid.get() as u64) << 16,
            Self::Interrupts => 0x4,
        }
    }
}

/// A descriptor that writes `status` when all before it have ended: SW, and FN, which holds back those that follow.
const fn wait(status: u32) -> u64 {
    0x5 | 1 << 5 | 1 << 6 | (status as u64) << 32
}

/// The queue, in a page of its own, and behind it a page for the word that tells of the end. It is empty between two calls.
pub struct Queue<'a> {
    page: SharedMemory<'a>,
    status: SharedMemory<'a>,
    drains: u64,
    next: usize,
    ended: u32,
}

impl<'a> Queue<'a> {
    /// Pages that it takes.
    pub const PAGES: usize = 2;

    /// An empty queue, in pages from the front of `memory`. `drains`: whether invalidations can wait for writes and for reads.
    ///
    /// # Errors
    /// [`IommuError::Memory`].
    pub fn new(memory: &mut SharedMemory<'a>, drains: [bool; 2]) -> Result<Self, IommuError> {
        let mut page = || memory.take(1, 1).ok_or(IommuError::Memory);
        let [page, status] = [page()?, page()?];
        page.clear();
        status.clear();
        let [writes, reads] = drains.map(u64::from);
        Ok(Self {
            page,
            status,
            drains: writes << 6 | reads << 7,
            next: 0,
            ended: 0,
        })
    }

    /// What IQA is to hold: 256 descriptors of 128 bits.
    pub fn base(&self) -> Pa {
        self.page.base()
    }

    /// Has the hardware forget, and waits until it has.
    ///
    /// # Errors
    /// [`IommuError::Refused`] when it does not understand a command, the rest of which are not carried out then, and
    /// [`IommuError::Stuck`] when it does not come to an end within bounds.
    pub fn execute(
        &mut self,
        registers: &mut impl RegisterFrame,
        commands: &[Command],
    ) -> Result<(), IommuError> {
        for command in commands {
            self.put([command.encode(self.drains), 0]);
        }
        self.ended = self.ended.wrapping_add(1);
        self.put([wait(self.ended), self.status.base().get()]);
        publish();
        registers.write(IQT, (self.next as u32) << INDEX);
        for _ in 0..PATIENCE {
            if self.status.read(0) as u32 == self.ended {
                publish();
                return Ok(());
            }
            if registers.read(FSTS) & IQE != 0 {
                return Err(self.give_up(registers));
            }
            core::hint::spin_loop();
        }
        Err(IommuError::Stuck(IQH))
    }

    fn put(&mut self, descriptor: [u64; WORDS]) {
        for (offset, word) in descriptor.into_iter().enumerate() {
            self.page.write(self.next * WORDS + offset, word);
        }
        self.next = (self.next + 1) % LENGTH;
    }

    /// The queue stands at what was not understood: all that is left becomes waiting for nothing, and it goes on.
    fn give_up(&mut self, registers: &mut impl RegisterFrame) -> IommuError {
        let at = (registers.read(IQH) >> INDEX) as usize % LENGTH;
        let opcode = (self.page.read(at * WORDS) & 0xf) as u8;
        let mut index = at;
        while index != self.next {
            self.page.write(index * WORDS, wait(self.ended));
            self.page.write(index * WORDS + 1, self.status.base().get());
            index = (index + 1) % LENGTH;
        }
        publish();
        registers.write(FSTS, IQE);
        IommuError::Refused { opcode, reason: 0 }
    }
}
