//! PCI functions that partitions own one by one: each partition sees a configuration space with exactly its functions.
//!
//! Sections are those of PCI Local Bus 3.0 (PCI) and PCI Express Base 5.0 (PCIe).
//!
//! - At boot every function that nobody owns is turned off. Bridges that lead to the others are set up and stay the hypervisor's: a guest sees its
//!   functions on one bus, with nothing between ([`port`]). Their BARs are placed in the windows that the system gives them, and stay there: a guest
//!   learns their sizes and addresses as from hardware, and moves nothing.
//! - A guest reads what is harmless and changes what concerns its own function only: [`view`] is the list of it. What is not on the list reads as zero.
//! - A function that raises messages is told where to by its guest. Where that can lead is the IOMMU's and the interrupt controller's matter, not that
//!   of the registers: a device can write anywhere by DMA, too.
//! - When a partition stops or starts again, its functions stop being bus masters, and are reset where they can be.
//!
//! # Limits
//! BARs of memory only; no extended capabilities; no Enhanced Allocation; nothing is plugged in or out.

mod capabilities;
mod layout;
mod others;
mod port;
mod registers;
#[cfg(test)]
mod tests;
mod view;

use model::pci::{Bridge, Function as Config, Place as BusPlace};
use model::{Ipa, PartitionId};

use crate::exit::Width;
use crate::sync::{Rank, TicketLock};

pub use layout::{Layout, PciError};
pub use others::turn_off_others;
pub use port::{PortError, open};
use registers::{COMMAND, ID, command};

/// Nobody answers: what a read of configuration space gives then (PCI 6.1).
const NOBODY: u32 = !0;
/// The function is there and not yet ready (PCIe 2.3.2, Configuration Request Retry Status): how its vendor reads then.
const NOT_READY: u32 = 0xffff_0001;

/// The configuration space of a host bridge's buses, real or a fake in a test.
pub trait ConfigurationSpace: Sync {
    /// The word at `offset`, a multiple of 4 below 4096, of the function at this place.
    fn read(&self, function: BusPlace, offset: u16) -> u32;

    /// Writes that word.
    fn write(&self, function: BusPlace, offset: u16, value: u32);
}

/// A function that a partition owns.
pub struct Function {
    bridge: &'static Bridge,
    config: &'static Config,
    space: &'static dyn ConfigurationSpace,
    layout: Layout,
    /// How long a reset takes, in ticks of the system counter.
    pause: u64,
    state: TicketLock<State>,
}

/// What changes of a function's view.
#[derive(Debug, Default)]
struct State {
    /// BARs that the guest has asked for their size: bit n for BAR n.
    sizing: u8,
    /// When it has come out of its reset, in ticks of the system counter; until then nobody looks at it.
    ready_at: Option<u64>,
}

/// What is at an address of a partition's configuration space.
#[derive(Clone, Copy)]
pub enum Place {
    /// A register of a function of its own.
    Register(&'static Function, u16),
    /// No function of its own.
    Nothing,
}

impl Function {
    /// Finds out what the function is and places its BARs. It is turned off: it answers at no address but its configuration space. `pause` is
    /// 100 ms in ticks of the system counter: what a reset takes (PCIe 6.6.2).
    ///
    /// # Errors
    /// Why it is not what the system expects, or cannot be given to a partition.
    pub fn new(
        bridge: &'static Bridge,
        config: &'static Config,
        space: &'static dyn ConfigurationSpace,
        pause: u64,
    ) -> Result<Self, PciError> {
        let layout = Layout::find(bridge, config, space)?;
        let function = Self {
            bridge,
            config,
            space,
            layout,
            pause,
            state: TicketLock::new(Rank::Pci, State::default()),
        };
        function.restore();
        Ok(function)
    }

    /// What the system says about it.
    pub const fn config(&self) -> &'static Config {
        self.config
    }

    /// What it is, and where its BARs are.
    pub const fn layout(&self) -> &Layout {
        &self.layout
    }

    fn word(&self, offset: u16) -> u32 {
        self.space.read(self.config.place, offset)
    }

    fn set_word(&self, offset: u16, value: u32) {
        self.space.write(self.config.place, offset, value);
    }

    /// As its guest finds it when it starts: its BARs in place, answering nowhere, writing and signalling nothing.
    fn restore(&self) {
        self.set_word(COMMAND, command::INTX_DISABLE);
        for (offset, value) in self.layout.fixed() {
            self.set_word(offset, value);
        }
    }

    /// The function is no bus master any more, and reset if it can be. While that lasts its guest reads that it is not ready.
    fn reset(&self, now: u64) {
        let mut state = self.state.lock();
        *state = State::default();
        self.set_word(COMMAND, command::INTX_DISABLE);
        if let Some((offset, value)) = self.layout.reset(|offset| self.word(offset)) {
            self.set_word(offset, value);
            state.ready_at = Some(now.wrapping_add(self.pause));
        } else {
            self.restore();
        }
    }

    /// True when the function answers. When it has just come out of its reset, what that took is put back first.
    fn is_ready(&self, state: &mut State, now: u64) -> bool {
        let Some(at) = state.ready_at else {
            return true;
        };
        let answers = now >= at && !matches!(self.word(ID), NOBODY | NOT_READY);
        if answers {
            self.restore();
            state.ready_at = None;
        }
        answers
    }

    /// What its guest reads at `offset`, a multiple of `width`.
    pub fn read(&self, offset: u16, width: Width, now: u64) -> u64 {
        let mut state = self.state.lock();
        if !self.is_ready(&mut state, now) {
            return match offset {
                ID => u64::from(NOT_READY),
                _ => u64::MAX,
            };
        }
        let word = |offset| u64::from(self.view(offset, state.sizing));
        match width {
            Width::Double => word(offset) | word(offset + 4) << 32,
            _ => word(offset & !3) >> (8 * (offset & 3)),
        }
    }

    /// Its guest writes at `offset`, a multiple of `width`.
    pub fn write(&self, offset: u16, width: Width, value: u64, now: u64) {
        let mut state = self.state.lock();
        if !self.is_ready(&mut state, now) {
            return;
        }
        match width {
            Width::Double => {
                self.change(offset, value as u32, !0, &mut state.sizing);
                self.change(offset + 4, (value >> 32) as u32, !0, &mut state.sizing);
            }
            _ => {
                let shift = 8 * u32::from(offset & 3);
                let bytes = match width {
                    Width::Byte => 0xff,
                    Width::Half => 0xffff,
                    _ => u32::MAX,
                };
                let word = (value as u32) << shift;
                self.change(offset & !3, word, bytes << shift, &mut state.sizing);
            }
        }
    }
}

/// A partition stops or starts again: its functions stop being bus masters, and are as after reset.
pub fn reset(functions: &[Function], partition: PartitionId, now: u64) {
    let own = functions
        .iter()
        .filter(|one| one.config.partition == partition);
    own.for_each(|function| function.reset(now));
}

/// What a partition has at `ipa`, an address of a configuration space that it sees. `None` when it sees none there.
pub fn place(functions: &'static [Function], partition: PartitionId, ipa: Ipa) -> Option<Place> {
    let mut sees = false;
    for function in functions {
        if function.config.partition != partition {
            continue;
        }
        let first = function.bridge.configuration.base;
        let Some(offset) = ipa.get().checked_sub(first.get()) else {
            continue;
        };
        if offset >= Bridge::BUS {
            continue;
        }
        if offset / Bridge::FUNCTION == u64::from(function.config.address) {
            let register = (offset % Bridge::FUNCTION) as u16;
            return Some(Place::Register(function, register));
        }
        sees = true;
    }
    sees.then_some(Place::Nothing)
}
