//! What a function is: found at boot, and then fixed.

use heapless::Vec;
use model::pci::Function as Config;

use super::registers::{
    BAR_COUNT, BARS, CAPABILITIES, COMMAND, EXTENDED, HEADER, HEADER_END, HEADER_TYPE, ID, ROM,
    bar, capability, command, express, msi, msi_x,
};
use super::{ConfigurationSpace, NOBODY};

/// Most capabilities of a function that are shown; the rest is hidden.
const MOST_CAPABILITIES: usize = 16;

/// Why a function cannot be given to its partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PciError {
    /// Nothing answers there.
    #[error("no function is there")]
    Missing,
    /// It is another one.
    #[error("{vendor:04x}:{device:04x} is there, which is not what the system expects")]
    Other {
        /// Its vendor.
        vendor: u16,
        /// Its device.
        device: u16,
    },
    /// It is a bridge.
    #[error("it is a bridge, and what is behind bridges cannot be told apart")]
    Bridge,
    /// Its power state is not D0.
    #[error("firmware left it in power state D{0}")]
    Asleep(u32),
    /// A BAR that is not as the standard says.
    #[error("its BAR {0} has no size that it could have")]
    BadBar(usize),
    /// It has more than its window holds.
    #[error(
        "its BARs need {needed:#x} bytes, and its window has {window:#x}: write a larger `window`"
    )]
    TooLarge {
        /// All BARs together.
        needed: u64,
        /// What the system gives it.
        window: u64,
    },
    /// Its registers are where it says, not where it is told.
    #[error("its registers cannot be moved (Enhanced Allocation)")]
    Immovable,
}

/// A BAR as its guest sees it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Bar {
    /// What it reads as: where it is, and its flags.
    pub place: u32,
    /// What it reads as when its size is asked for: bits that can be written, and its flags. 0 when there is no BAR.
    pub size: u32,
}

/// A capability that the guest sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Capability {
    pub id: u8,
    /// A multiple of 4.
    pub offset: u16,
    /// Bytes that are shown.
    pub length: u16,
    /// Its first word when it was found.
    pub header: u32,
}

/// What a function is.
#[derive(Clone, Debug)]
pub struct Layout {
    id: u32,
    pub(super) bars: [Bar; BAR_COUNT],
    pub(super) capabilities: Vec<Capability, MOST_CAPABILITIES>,
    /// The register that resets it, and the bit.
    reset: Option<(u16, u32)>,
    used: u64,
}

impl Layout {
    /// Turns the function off and finds out what it is.
    pub(super) fn find(config: &Config, space: &dyn ConfigurationSpace) -> Result<Self, PciError> {
        let word = |offset| space.read(config.address, offset);
        let id = word(ID);
        if id == NOBODY {
            return Err(PciError::Missing);
        }
        let (vendor, device) = (id as u16, (id >> 16) as u16);
        if config.id.is_some_and(|wanted| wanted != (vendor, device)) {
            return Err(PciError::Other { vendor, device });
        }
        if word(HEADER) & HEADER_TYPE != 0 {
            return Err(PciError::Bridge);
        }
        space.write(config.address, COMMAND, command::INTX_DISABLE);
        let mut layout = Self {
            id,
            bars: [Bar::default(); BAR_COUNT],
            capabilities: Vec::new(),
            reset: None,
            used: 0,
        };
        layout.find_capabilities(config, &word)?;
        layout.find_bars(config, space)?;
        Ok(layout)
    }

    /// Vendor and device.
    pub const fn id(&self) -> (u16, u16) {
        (self.id as u16, (self.id >> 16) as u16)
    }

    /// Bytes of all its BARs together.
    pub const fn used(&self) -> u64 {
        self.used
    }

    /// Sizes the BARs and places them in the function's window. The largest comes first, so each is aligned to its size, as the window is.
    fn find_bars(
        &mut self,
        config: &Config,
        space: &dyn ConfigurationSpace,
    ) -> Result<(), PciError> {
        let ask = |index: usize| {
            let offset = BARS + 4 * index as u16;
            space.write(config.address, offset, !0);
            space.read(config.address, offset)
        };
        let mut sizes: Vec<(u64, usize), BAR_COUNT> = Vec::new();
        let mut index = 0;
        while index < BAR_COUNT {
            let low = ask(index);
            let wide = match low & (bar::IO | bar::TYPE) {
                // I/O ports and BARs that are not there stay hidden.
                _ if low & bar::IO != 0
                    || low & !bar::FLAGS == 0 && low & bar::TYPE != bar::BITS_64 =>
                {
                    index += 1;
                    continue;
                }
                bar::BITS_32 => false,
                bar::BITS_64 if index + 1 < BAR_COUNT => true,
                _ => return Err(PciError::BadBar(index)),
            };
            let high = if wide { ask(index + 1) } else { !0 };
            let bits = u64::from(high) << 32 | u64::from(low & !bar::FLAGS);
            let size = bits.wrapping_neg();
            if !size.is_power_of_two() {
                return Err(PciError::BadBar(index));
            }
            // There are as many places as BARs.
            let _ = sizes.push((size, index));
            self.set_size(index, low);
            if wide {
                self.set_size(index + 1, high);
            }
            index += 1 + usize::from(wide);
        }
        sizes.sort_unstable_by_key(|(size, index)| (core::cmp::Reverse(*size), *index));
        self.used = sizes
            .iter()
            .fold(0, |sum, (size, _)| size.saturating_add(sum));
        if self.used > config.window.size {
            return Err(PciError::TooLarge {
                needed: self.used,
                window: config.window.size,
            });
        }
        let mut next = config.bus;
        for (size, index) in sizes {
            if let Some(bar) = self.bars.get_mut(index) {
                bar.place = next | bar.size & bar::FLAGS;
            }
            // All of them fit the window, which ends within 32 bits.
            next = next.wrapping_add(size as u32);
        }
        Ok(())
    }

    fn set_size(&mut self, index: usize, size: u32) {
        if let Some(bar) = self.bars.get_mut(index) {
            bar.size = size;
        }
    }

    /// Walks the list of capabilities (PCI 6.7). A list that is longer than there is room, or that comes back to itself, ends there.
    fn find_capabilities(
        &mut self,
        config: &Config,
        word: &impl Fn(u16) -> u32,
    ) -> Result<(), PciError> {
        if word(COMMAND) & command::HAS_CAPABILITIES == 0 {
            return Ok(());
        }
        let mut seen = 0u64;
        let mut next = word(CAPABILITIES);
        loop {
            let offset = (next & 0xfc) as u16;
            let bit = 1u64 << (offset / 4);
            if offset < HEADER_END || seen & bit != 0 {
                return Ok(());
            }
            seen |= bit;
            let header = word(offset);
            next = header >> 8;
            let length = match header as u8 {
                capability::POWER => match word(offset + 4) & 0b11 {
                    0 => 8,
                    state => return Err(PciError::Asleep(state)),
                },
                capability::MSI if config.messages > 0 => msi_length(header),
                capability::MSI_X if config.messages > 0 => 12,
                capability::EXPRESS => {
                    if word(offset + express::DEVICE) & express::CAN_RESET != 0 {
                        self.reset = Some((offset + express::CONTROL, express::RESET));
                    }
                    // Version 1 of an endpoint ends before its slots (PCIe 7.5.3).
                    if header >> 16 & 0xf > 1 { 0x3c } else { 0x14 }
                }
                capability::VENDOR => ((header >> 16) as u8).into(),
                capability::ADVANCED => {
                    // Capabilities in the last byte of the first word, control behind them (PCI ECN Advanced Capabilities).
                    if header >> 24 & 0b11 == 0b11 && self.reset.is_none() {
                        self.reset = Some((offset + 4, 1));
                    }
                    continue;
                }
                capability::ENHANCED_ALLOCATION => return Err(PciError::Immovable),
                _ => continue,
            };
            let shown = Capability {
                id: header as u8,
                offset,
                length: length.clamp(4, EXTENDED - offset),
                header,
            };
            if self.capabilities.push(shown).is_err() {
                return Ok(());
            }
        }
    }

    /// What the registers hold that the guest cannot change, but for the command: BARs, the ROM's off, no messages.
    pub(super) fn fixed(&self) -> impl Iterator<Item = (u16, u32)> {
        let bars = (BARS..)
            .step_by(4)
            .zip(self.bars.iter().map(|bar| bar.place));
        let quiet = self.capabilities.iter().filter_map(|one| {
            let off = match one.id {
                capability::MSI => one.header & !(msi::ENABLE | msi::ENABLED),
                capability::MSI_X => one.header & !msi_x::ENABLE | msi_x::MASK,
                _ => return None,
            };
            Some((one.offset, off))
        });
        bars.chain([(ROM, 0)]).chain(quiet)
    }

    /// The register that resets the function, and what to write there.
    pub(super) fn reset(&self, word: impl FnOnce(u16) -> u32) -> Option<(u16, u32)> {
        let (offset, bit) = self.reset?;
        // The status is in the upper half; writing zeros leaves it.
        Some((offset, word(offset) & 0xffff | bit))
    }
}

/// Bytes of an MSI capability (PCI 6.8.1).
const fn msi_length(header: u32) -> u16 {
    let mut length = 12;
    if header & msi::BITS_64 != 0 {
        length += 4;
    }
    if header & msi::MASKABLE != 0 {
        length += 8;
    }
    length
}
