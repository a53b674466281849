//! What a function is: found at boot, and then fixed.

use heapless::Vec;
use model::pci::{Bridge, Function as Config};

use super::capabilities::{Words, capabilities};
use super::registers::{
    BAR_COUNT, BARS, COMMAND, EXTENDED, HEADER, HEADER_TYPE, ID, INTERRUPT, PIN, ROM, bar,
    capability, command, express, msi, msi_x,
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
    #[error("it is a bridge, which belongs to the hypervisor: name the functions behind it")]
    Bridge,
    /// Its power state is not D0.
    #[error("firmware left it in power state D{0}")]
    Asleep(u32),
    /// A BAR that is not as the standard says.
    #[error("its BAR {0} has no size that it could have")]
    BadBar(usize),
    /// It has more than its window holds.
    #[error(
        "its BARs need {needed:#x} bytes {}, and its window has {window:#x}: write a larger `{}`",
        if *.high { "above 4 GiB" } else { "below 4 GiB" },
        if *.high { "high_window" } else { "window" }
    )]
    TooLarge {
        /// All BARs together that go there.
        needed: u64,
        /// What the system gives it.
        window: u64,
        /// It is the window above 4 GiB.
        high: bool,
    },
    /// It interrupts by another pin than the system says.
    #[error("its interrupt pin is {found} (1 is A, 0 is none), and the system says {expected}")]
    OtherPin {
        /// What its register says.
        found: u8,
        /// What the system says.
        expected: u8,
    },
    /// It is older than the standard's way to turn a pin off.
    #[error("its interrupt pin cannot be turned off (PCI 2.3)")]
    LoudPin,
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
    /// Bytes of BARs below and above 4 GiB.
    used: [u64; 2],
}

impl Layout {
    /// Turns the function off and finds out what it is.
    pub(super) fn find(
        bridge: &Bridge,
        config: &Config,
        space: &dyn ConfigurationSpace,
    ) -> Result<Self, PciError> {
        let word = |offset| space.read(config.place, offset);
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
        space.write(config.place, COMMAND, command::INTX_DISABLE);
        let pin = (word(INTERRUPT) & PIN) >> PIN.trailing_zeros();
        if pin != 0 && word(COMMAND) & command::INTX_DISABLE == 0 {
            return Err(PciError::LoudPin);
        }
        if config.pin != 0 && u32::from(config.pin) != pin {
            return Err(PciError::OtherPin {
                found: pin as u8,
                expected: config.pin,
            });
        }
        let mut layout = Self {
            id,
            bars: [Bar::default(); BAR_COUNT],
            capabilities: Vec::new(),
            reset: None,
            used: [0; 2],
        };
        layout.find_capabilities(config, &word)?;
        layout.find_bars(config, space, config.place >> 8 == bridge.first_bus.into())?;
        Ok(layout)
    }

    /// Vendor and device.
    pub const fn id(&self) -> (u16, u16) {
        (self.id as u16, (self.id >> 16) as u16)
    }

    /// Bytes of all its BARs together, below and above 4 GiB.
    pub const fn used(&self) -> [u64; 2] {
        self.used
    }

    /// Sizes the BARs and places them in the function's windows. The largest comes first, so each is aligned to its size, as the window is. Those
    /// of 64 bits go above 4 GiB where the function has a window there; behind a bridge, which leads there by its window for memory that may be
    /// prefetched, only those that may be (PCI-to-PCI Bridge 1.2, 3.2.5.8).
    fn find_bars(
        &mut self,
        config: &Config,
        space: &dyn ConfigurationSpace,
        on_first_bus: bool,
    ) -> Result<(), PciError> {
        let ask = |index: usize| {
            let offset = BARS + 4 * index as u16;
            space.write(config.place, offset, !0);
            space.read(config.place, offset)
        };
        let mut sizes: Vec<(u64, usize, bool), BAR_COUNT> = Vec::new();
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
            let may_rise = wide && (on_first_bus || low & bar::PREFETCHABLE != 0);
            // There are as many places as BARs.
            let _ = sizes.push((size, index, may_rise));
            self.set_size(index, low);
            if wide {
                self.set_size(index + 1, high);
            }
            index += 1 + usize::from(wide);
        }
        sizes.sort_unstable_by_key(|(size, index, _)| (core::cmp::Reverse(*size), *index));
        let [mut below, mut above] = [0u64; 2];
        for (size, index, may_rise) in sizes {
            let (base, used) = match config.high {
                Some(high) if may_rise => (high.base, &mut above),
                _ => (config.window.base, &mut below),
            };
            self.set_place(index, base.wrapping_add(*used));
            *used = used.saturating_add(size);
        }
        self.used = [below, above];
        let high = config.high.map_or(0, |high| high.size);
        for (needed, window, high) in [(below, config.window.size, false), (above, high, true)] {
            if needed > window {
                return Err(PciError::TooLarge {
                    needed,
                    window,
                    high,
                });
            }
        }
        Ok(())
    }

    fn set_place(&mut self, index: usize, place: u64) {
        if let Some(low) = self.bars.get_mut(index) {
            low.place = place as u32 | low.size & bar::FLAGS;
        }
        // A place below 4 GiB leaves the BAR behind one of 32 bits alone.
        if let Some(upper) = self.bars.get_mut(index + 1).filter(|_| place >> 32 != 0) {
            upper.place = (place >> 32) as u32;
        }
    }

    fn set_size(&mut self, index: usize, size: u32) {
        if let Some(bar) = self.bars.get_mut(index) {
            bar.size = size;
        }
    }

    /// Which capabilities the guest is to see. What there is no room for it does not.
    fn find_capabilities(&mut self, config: &Config, word: &impl Words) -> Result<(), PciError> {
        for (offset, header) in capabilities(word) {
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
                break;
            }
        }
        Ok(())
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
