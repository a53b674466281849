//! Commands of an Interrupt Translation Service (Arm IHI 0069H, 5.3): four doublewords each, read from guests and written for the hardware.

/// Bytes of one command.
pub const COMMAND_BYTES: u64 = 32;

/// One command. `MAPI` is `Mapti` with equal numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// Sends an event to another collection.
    Movi {
        /// DeviceID.
        device: u32,
        /// EventID.
        event: u32,
        /// ICID.
        collection: u16,
    },
    /// Makes an event's interrupt pending.
    Int {
        /// DeviceID.
        device: u32,
        /// EventID.
        event: u32,
    },
    /// Takes the pending state of an event's interrupt away.
    Clear {
        /// DeviceID.
        device: u32,
        /// EventID.
        event: u32,
    },
    /// Waits until earlier commands have taken effect at a redistributor.
    Sync {
        /// RDbase, as `GITS_TYPER.PTA` wants it, from bit 16 on.
        target: u64,
    },
    /// Gives a device a translation table, or takes it away.
    Mapd {
        /// DeviceID.
        device: u32,
        /// Bits of its EventIDs, 1 to 32.
        bits: u8,
        /// Address of the table.
        table: u64,
        /// False takes it away.
        valid: bool,
    },
    /// Sends a collection to a redistributor.
    Mapc {
        /// ICID.
        collection: u16,
        /// RDbase, as for `Sync`.
        target: u64,
        /// False unmaps it.
        valid: bool,
    },
    /// Gives an event its interrupt and collection.
    Mapti {
        /// DeviceID.
        device: u32,
        /// EventID.
        event: u32,
        /// The LPI.
        intid: u32,
        /// ICID.
        collection: u16,
    },
    /// Reads the configuration of an event's interrupt anew.
    Inv {
        /// DeviceID.
        device: u32,
        /// EventID.
        event: u32,
    },
    /// Reads the configuration of a collection's interrupts anew.
    Invall {
        /// ICID.
        collection: u16,
    },
    /// Moves what is pending at one redistributor to another.
    Movall {
        /// RDbase.
        from: u64,
        /// RDbase.
        to: u64,
    },
    /// Takes an event's interrupt away.
    Discard {
        /// DeviceID.
        device: u32,
        /// EventID.
        event: u32,
    },
}

/// Names of the [kinds](Command::kind) of commands.
pub const KINDS: [&str; 12] = [
    "movi", "int", "clear", "sync", "mapd", "mapc", "mapti", "inv", "invall", "movall", "discard",
    "unknown",
];

/// The kind of what is no command.
pub const UNKNOWN: usize = KINDS.len() - 1;

/// Numbers of the commands (5.3.1, table 5-6).
mod number {
    pub(super) const MOVI: u64 = 0x01;
    pub(super) const INT: u64 = 0x03;
    pub(super) const CLEAR: u64 = 0x04;
    pub(super) const SYNC: u64 = 0x05;
    pub(super) const MAPD: u64 = 0x08;
    pub(super) const MAPC: u64 = 0x09;
    pub(super) const MAPTI: u64 = 0x0a;
    pub(super) const MAPI: u64 = 0x0b;
    pub(super) const INV: u64 = 0x0c;
    pub(super) const INVALL: u64 = 0x0d;
    pub(super) const MOVALL: u64 = 0x0e;
    pub(super) const DISCARD: u64 = 0x0f;
}

/// `V` of doubleword 2.
const VALID: u64 = 1 << 63;
/// Bits 50:16, an RDbase.
const TARGET: u64 = 0x7_ffff_ffff_0000;
/// Bits 51:8, the address of a translation table.
const TABLE: u64 = 0xf_ffff_ffff_ff00;

impl Command {
    /// Its place in [`KINDS`].
    pub const fn kind(&self) -> usize {
        match self {
            Self::Movi { .. } => 0,
            Self::Int { .. } => 1,
            Self::Clear { .. } => 2,
            Self::Sync { .. } => 3,
            Self::Mapd { .. } => 4,
            Self::Mapc { .. } => 5,
            Self::Mapti { .. } => 6,
            Self::Inv { .. } => 7,
            Self::Invall { .. } => 8,
            Self::Movall { .. } => 9,
            Self::Discard { .. } => 10,
        }
    }

    /// What four doublewords mean; `None` when there is no such command. Whether its numbers exist is for the reader to check.
    pub const fn decode(words: [u64; 4]) -> Option<Self> {
        let [first, second, third, fourth] = words;
        let device = (first >> 32) as u32;
        let event = second as u32;
        let collection = third as u16;
        let target = third & TARGET;
        let valid = third & VALID != 0;
        Some(match first & 0xff {
            number::MOVI => Self::Movi {
                device,
                event,
                collection,
            },
            number::INT => Self::Int { device, event },
            number::CLEAR => Self::Clear { device, event },
            number::SYNC => Self::Sync { target },
            number::MAPD => Self::Mapd {
                device,
                bits: (second & 0x1f) as u8 + 1,
                table: third & TABLE,
                valid,
            },
            number::MAPC => Self::Mapc {
                collection,
                target,
                valid,
            },
            number::MAPTI => Self::Mapti {
                device,
                event,
                intid: (second >> 32) as u32,
                collection,
            },
            number::MAPI => Self::Mapti {
                device,
                event,
                intid: event,
                collection,
            },
            number::INV => Self::Inv { device, event },
            number::INVALL => Self::Invall { collection },
            number::MOVALL => Self::Movall {
                from: target,
                to: fourth & TARGET,
            },
            number::DISCARD => Self::Discard { device, event },
            _ => return None,
        })
    }

    /// The four doublewords.
    pub const fn encode(self) -> [u64; 4] {
        const fn of_event(number: u64, device: u32, event: u32) -> [u64; 4] {
            [number | (device as u64) << 32, event as u64, 0, 0]
        }
        const fn valid_bit(valid: bool) -> u64 {
            if valid { VALID } else { 0 }
        }
        match self {
            Self::Movi {
                device,
                event,
                collection,
            } => {
                let [first, second, ..] = of_event(number::MOVI, device, event);
                [first, second, collection as u64, 0]
            }
            Self::Int { device, event } => of_event(number::INT, device, event),
            Self::Clear { device, event } => of_event(number::CLEAR, device, event),
            Self::Sync { target } => [number::SYNC, 0, target & TARGET, 0],
            Self::Mapd {
                device,
                bits,
                table,
                valid,
            } => {
                let size = (bits as u64).wrapping_sub(1) & 0x1f;
                let [first, ..] = of_event(number::MAPD, device, 0);
                [first, size, table & TABLE | valid_bit(valid), 0]
            }
            Self::Mapc {
                collection,
                target,
                valid,
            } => {
                let third = collection as u64 | target & TARGET | valid_bit(valid);
                [number::MAPC, 0, third, 0]
            }
            Self::Mapti {
                device,
                event,
                intid,
                collection,
            } => {
                let [first, second, ..] = of_event(number::MAPTI, device, event);
                [first, second | (intid as u64) << 32, collection as u64, 0]
            }
            Self::Inv { device, event } => of_event(number::INV, device, event),
            Self::Invall { collection } => [number::INVALL, 0, collection as u64, 0],
            Self::Movall { from, to } => [number::MOVALL, 0, from & TARGET, to & TARGET],
            Self::Discard { device, event } => of_event(number::DISCARD, device, event),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_at_the_bits_of_ihi_0069h_5_3() {
        let (device, event) = (0x1234_5678, 0x9abc_def0);
        let cases = [
            (
                Command::Movi {
                    device,
                    event,
                    collection: 0xffff,
                },
                [0x1234_5678_0000_0001, 0x9abc_def0, 0xffff, 0],
            ),
            (
                Command::Int { device, event },
                [0x1234_5678_0000_0003, 0x9abc_def0, 0, 0],
            ),
            (
                Command::Clear { device, event },
                [0x1234_5678_0000_0004, 0x9abc_def0, 0, 0],
            ),
            (Command::Sync { target: 0x3_0000 }, [0x05, 0, 0x3_0000, 0]),
            (
                Command::Mapd {
                    device,
                    bits: 6,
                    table: 0x4000_0100,
                    valid: true,
                },
                [0x1234_5678_0000_0008, 5, 0x8000_0000_4000_0100, 0],
            ),
            (
                Command::Mapc {
                    collection: 3,
                    target: 0x1_0000,
                    valid: true,
                },
                [0x09, 0, 0x8000_0000_0001_0003, 0],
            ),
            (
                Command::Mapti {
                    device,
                    event,
                    intid: 8193,
                    collection: 2,
                },
                [0x1234_5678_0000_000a, 0x2001_9abc_def0, 2, 0],
            ),
            (
                Command::Inv { device, event },
                [0x1234_5678_0000_000c, 0x9abc_def0, 0, 0],
            ),
            (Command::Invall { collection: 7 }, [0x0d, 0, 7, 0]),
            (
                Command::Movall {
                    from: 0x1_0000,
                    to: 0x2_0000,
                },
                [0x0e, 0, 0x1_0000, 0x2_0000],
            ),
            (
                Command::Discard { device, event },
                [0x1234_5678_0000_000f, 0x9abc_def0, 0, 0],
            ),
        ];
        for (command, words) in cases {
            assert_eq!(command.encode(), words, "{command:x?}");
            assert_eq!(Command::decode(words), Some(command));
        }
    }

    #[test]
    fn mapi_is_mapti_with_the_event_as_interrupt() {
        let expected = Command::Mapti {
            device: 1,
            event: 8200,
            intid: 8200,
            collection: 4,
        };
        assert_eq!(
            Command::decode([1 << 32 | 0x0b, 8200, 4, 0]),
            Some(expected)
        );
    }

    #[test]
    fn unknown_number_is_no_command() {
        let known = (0..=0xff).filter(|number| Command::decode([*number, 0, 0, 0]).is_some());
        assert_eq!(known.count(), 12);
    }
}
