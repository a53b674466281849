//! Interrupt commands: what a write to a virtual CPU's interrupt command register becomes (Intel SDM volume 3, 11.6.1 and 11.12.9, x2APIC).
//!
//! A command reaches virtual CPUs of its own partition, and no others: the hypervisor asks each of them whether the command names it, and sends what
//! is to be sent to that one's physical CPU alone.

/// What a command does to those that it names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// An interrupt with this vector, 16 or above.
    Interrupt(u8),
    /// A non-maskable interrupt.
    NonMaskable,
    /// INIT: the CPU stops and waits for its startup.
    Init,
    /// Startup: a CPU that waits begins at this page, in real mode.
    Startup(u8),
}

/// Whom a command names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Destination {
    /// The sender.
    Own,
    /// All, the sender among them.
    All,
    /// All but the sender.
    Others,
    /// The one with this identifier; all ones: everyone.
    Physical(u32),
    /// A cluster of 16 in the upper half, a bit for each of it in the lower; all ones: everyone (11.12.10.2).
    Logical(u32),
}

impl Destination {
    /// True when it names the CPU `apic`, for a sender that is `sender`.
    pub const fn names(self, apic: u32, sender: u32) -> bool {
        match self {
            Self::Own => apic == sender,
            Self::All | Self::Physical(u32::MAX) | Self::Logical(u32::MAX) => true,
            Self::Others => apic != sender,
            Self::Physical(one) => one == apic,
            Self::Logical(set) => set >> 16 == apic >> 4 && set >> (apic & 15) & 1 != 0,
        }
    }
}

/// What a value of the register asks for. `None`: nothing that the policy allows, or nothing that has an effect.
///
/// SMI and lowest priority are dropped, and so is what the architecture does not define: vectors below 16, and shorthands that include the
/// sender with anything but an interrupt.
pub const fn command(value: u64) -> Option<(Action, Destination)> {
    const LOGICAL: u64 = 1 << 11;
    const ASSERT: u64 = 1 << 14;
    const LEVEL: u64 = 1 << 15;
    let vector = value as u8;
    let action = match value >> 8 & 7 {
        0 if vector >= 16 => Action::Interrupt(vector),
        4 => Action::NonMaskable,
        // The end of an INIT: nothing since the Pentium 4.
        5 if value & (LEVEL | ASSERT) == LEVEL => return None,
        5 => Action::Init,
        6 => Action::Startup(vector),
        _ => return None,
    };
    let name = (value >> 32) as u32;
    let destination = match value >> 18 & 3 {
        0 if value & LOGICAL != 0 => Destination::Logical(name),
        0 => Destination::Physical(name),
        1 => Destination::Own,
        2 => Destination::All,
        _ => Destination::Others,
    };
    match (action, destination) {
        (Action::Interrupt(_), _)
        | (_, Destination::Physical(_) | Destination::Logical(_) | Destination::Others) => {
            Some((action, destination))
        }
        _ => None,
    }
}

/// No vector that a guest may choose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoVector;

/// The vector that a guest chooses for something that interrupts it, 32 to 255; 0: it is not to.
///
/// # Errors
/// An exception's vector (Intel SDM volume 3, 6.2), or none.
pub const fn choice(vector: u64) -> Result<Option<u8>, NoVector> {
    match vector {
        0 => Ok(None),
        32..=255 => Ok(Some(vector as u8)),
        _ => Err(NoVector),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Those of CPUs 0, 2, 3 and 17 that a value names, when 2 has sent it.
    fn named(value: u64) -> Vec<u32> {
        let Some((_, destination)) = command(value) else {
            return Vec::new();
        };
        let all = [0, 2, 3, 17].into_iter();
        all.filter(|apic| destination.names(*apic, 2)).collect()
    }

    #[test]
    fn every_way_of_naming_names_whom_it_says() {
        let vector = 0x40;
        for (value, expected) in [
            (3 << 32 | vector, &[3][..]),
            (u64::MAX << 32 | vector, &[0, 2, 3, 17]),
            (1 << 18 | vector, &[2]),
            (2 << 18 | vector, &[0, 2, 3, 17]),
            (3 << 18 | vector, &[0, 3, 17]),
            (0b1101 << 32 | 1 << 11 | vector, &[0, 2, 3]),
            (1 << 48 | 0b10 << 32 | 1 << 11 | vector, &[17]),
            (u64::MAX << 32 | 1 << 11 | vector, &[0, 2, 3, 17]),
            (9 << 32 | vector, &[]),
        ] {
            assert_eq!(named(value), expected, "{value:#x}");
        }
    }

    #[test]
    fn delivery_modes_become_actions_and_others_are_dropped() {
        let action = |value: u64| command(3 << 32 | value).map(|(action, _)| action);
        assert_eq!(action(0x40), Some(Action::Interrupt(0x40)));
        assert_eq!(action(0x4400), Some(Action::NonMaskable));
        assert_eq!(action(0xc500), Some(Action::Init));
        assert_eq!(action(0x4500), Some(Action::Init));
        assert_eq!(action(0x4699), Some(Action::Startup(0x99)));
        // The end of an INIT, a low vector, lowest priority, SMI, two reserved ones.
        for value in [0x8500, 0x0f, 0x0140, 0x0200, 0x0300, 0x0740] {
            assert_eq!(action(value), None, "{value:#x}");
        }
    }

    #[test]
    fn sender_cannot_name_itself_by_a_shorthand_but_for_an_interrupt() {
        for mode in [0x400, 0x500, 0x608] {
            assert_eq!(command(1 << 18 | mode), None, "{mode:#x}");
            assert_eq!(command(2 << 18 | mode), None, "{mode:#x}");
            assert!(command(3 << 18 | mode).is_some(), "{mode:#x}");
        }
    }

    #[test]
    fn guests_choose_vectors_that_are_no_exceptions() {
        assert_eq!(choice(0), Ok(None));
        assert_eq!((choice(32), choice(255)), (Ok(Some(32)), Ok(Some(255))));
        for vector in [1, 31, 256, u64::MAX] {
            assert_eq!(choice(vector), Err(NoVector), "{vector}");
        }
    }
}
