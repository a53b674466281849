//! What a guest sees and may change of its function, word by word.

use super::Function;
use super::layout::{Bar, Capability};
use super::registers::{
    BARS, CAPABILITIES, CLASS, COMMAND, HEADER, ID, INTERRUPT, MULTI_FUNCTION, PIN, SUBSYSTEM, bar,
    capability, command, express, msi, msi_x,
};

/// How a word is seen and changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Rule {
    /// Bits that the guest reads as they are.
    shown: u32,
    /// Bits that it reads as ones.
    set: u32,
    /// Bits that it writes.
    writable: u32,
    /// Bits that a written one clears.
    cleared: u32,
}

impl Rule {
    const HIDDEN: Self = Self {
        shown: 0,
        set: 0,
        writable: 0,
        cleared: 0,
    };

    const fn read_only(shown: u32) -> Self {
        Self {
            shown,
            ..Self::HIDDEN
        }
    }

    const fn writable(bits: u32) -> Self {
        Self {
            shown: bits,
            writable: bits,
            ..Self::HIDDEN
        }
    }
}

impl Function {
    /// The word at `offset` as the guest reads it. `sizing`: the BARs whose size it has asked for.
    pub(super) fn view(&self, offset: u16, sizing: u8) -> u32 {
        if let Some((index, bar)) = self.bar(offset) {
            return match sizing >> index & 1 {
                0 => bar.place,
                _ => bar.size,
            };
        }
        let rule = self.rule(offset);
        if rule.shown == 0 {
            return rule.set;
        }
        let value = self.word(offset) & rule.shown | rule.set;
        match self.capability(offset) {
            Some(one) if offset == one.offset => self.fewer_messages(one, value),
            _ => value,
        }
    }

    /// The guest writes the bytes `bytes` of the word at `offset`.
    pub(super) fn change(&self, offset: u16, value: u32, bytes: u32, sizing: &mut u8) {
        if let Some((index, bar)) = self.bar(offset) {
            // The way to ask for a size is to write ones to a whole BAR; whatever else is written asks for its place again.
            let asks = bytes == !0 && bar.size != 0 && value | bar::FLAGS == !0;
            *sizing = *sizing & !(1 << index) | u8::from(asks) << index;
            return;
        }
        let rule = self.rule(offset);
        let changed = rule.writable & bytes;
        let cleared = rule.cleared & bytes & value;
        if changed | cleared == 0 {
            return;
        }
        let value = match self.capability(offset) {
            Some(one) if offset == one.offset => self.fewer_messages(one, value),
            _ => value,
        };
        let kept = self.word(offset) & !changed & !rule.cleared;
        self.set_word(offset, kept | value & changed | cleared);
    }

    fn bar(&self, offset: u16) -> Option<(usize, &Bar)> {
        let index = usize::from(offset.checked_sub(BARS)? / 4);
        Some((index, self.layout.bars.get(index)?))
    }

    fn capability(&self, offset: u16) -> Option<&Capability> {
        let mut all = self.layout.capabilities.iter();
        all.find(|one| {
            let within = offset.checked_sub(one.offset);
            within.is_some_and(|within| within < one.length)
        })
    }

    fn rule(&self, offset: u16) -> Rule {
        let first = self.layout.capabilities.first();
        match offset {
            ID | CLASS | SUBSYSTEM => Rule::read_only(!0),
            COMMAND => {
                let own = command::MEMORY | command::MASTER | command::PARITY | command::SERR;
                let (pins, capabilities) = (command::INTX_DISABLE, command::HAS_CAPABILITIES);
                let status = 0xffff_0000 & !capabilities & !command::INTX_WAITS;
                // Without a pin it stays off, and whether its interrupt waits is hidden: there is none.
                let (own, shown, set) = match self.config.pin {
                    0 => (own, status, pins),
                    _ => (own | pins, status | command::INTX_WAITS, 0),
                };
                Rule {
                    shown: own | shown,
                    set: set | first.map_or(0, |_| capabilities),
                    writable: own,
                    cleared: command::ERRORS,
                }
            }
            // Without the self-test. That there are more functions is told only to who has one of them.
            HEADER => Rule {
                shown: 0x007f_ffff,
                set: match self.has_siblings() {
                    true => MULTI_FUNCTION,
                    false => 0,
                },
                ..Rule::HIDDEN
            },
            CAPABILITIES => Rule {
                set: first.map_or(0, |one| one.offset.into()),
                ..Rule::HIDDEN
            },
            // The line is a note of software to itself; the pin reads as none where the partition does not have its interrupt.
            INTERRUPT => Rule {
                shown: 0xff | if self.config.pin == 0 { 0 } else { PIN },
                ..Rule::writable(0xff)
            },
            _ => self.capability(offset).map_or(Rule::HIDDEN, |one| {
                let within = offset - one.offset;
                let mut rule = inside(one, within);
                if within == 0 {
                    // What comes next is the next one that is shown.
                    rule.shown &= !0xff00;
                    rule.set |= u32::from(self.behind(one)) << 8;
                }
                rule
            }),
        }
    }

    /// Offset of the capability that the guest finds behind this one; 0 when it is the last.
    fn behind(&self, one: &Capability) -> u16 {
        let mut rest = self.layout.capabilities.iter();
        let _ = rest.find(|other| other.offset == one.offset);
        rest.next().map_or(0, |next| next.offset)
    }

    /// True when the partition owns another function of the device.
    fn has_siblings(&self) -> bool {
        self.bridge.functions.iter().any(|other| {
            other.partition == self.config.partition
                && other.address != self.config.address
                && other.address >> 3 == self.config.address >> 3
        })
    }

    /// The first word of a capability with no more messages than the system allows.
    fn fewer_messages(&self, one: &Capability, word: u32) -> u32 {
        let most = u32::from(self.config.messages).max(1);
        let at_most = |field: u32, most: u32| {
            let number = (word & field) >> field.trailing_zeros();
            word & !field | number.min(most) << field.trailing_zeros()
        };
        match one.id {
            capability::MSI => {
                let power = most.ilog2().min(5);
                let word = at_most(msi::CAPABLE, power);
                let enabled = (word & msi::ENABLED) >> msi::ENABLED.trailing_zeros();
                word & !msi::ENABLED | enabled.min(power) << msi::ENABLED.trailing_zeros()
            }
            capability::MSI_X => at_most(msi_x::SIZE, most - 1),
            _ => word,
        }
    }
}

/// The rule of a word `within` a capability.
fn inside(one: &Capability, within: u16) -> Rule {
    let all = Rule::read_only(!0);
    match (one.id, within) {
        // It wakes nobody, and its power state stays as it is.
        (capability::POWER, 0) => Rule::read_only(0x07ff_ffff),
        (capability::POWER, _) => Rule::read_only(0b1011),
        (capability::MSI, 0) => Rule {
            writable: msi::ENABLE | msi::ENABLED,
            ..all
        },
        (capability::MSI, _) => inside_msi(one, within),
        (capability::MSI_X, 0) => Rule {
            writable: msi_x::ENABLE | msi_x::MASK,
            ..all
        },
        // The reset of a function would take its BARs along.
        (capability::EXPRESS, express::DEVICE) => Rule::read_only(!express::CAN_RESET),
        (capability::EXPRESS, express::CONTROL) => Rule {
            writable: express::OWN_AFFAIR,
            cleared: express::ERRORS,
            ..Rule::read_only(!express::RESET)
        },
        _ => all,
    }
}

/// Behind its first word an MSI capability has an address of one or two words, the data, and then, where messages can be masked, the masks and what
/// waits (PCI 6.8.1).
fn inside_msi(one: &Capability, within: u16) -> Rule {
    let wide = one.header & msi::BITS_64 != 0;
    let data = if wide { 12 } else { 8 };
    match within {
        4 => Rule::writable(!0b11),
        8 if wide => Rule::writable(!0),
        _ if within == data => Rule::writable(0xffff),
        _ if within == data + 4 => Rule::writable(!0),
        _ => Rule::read_only(!0),
    }
}
