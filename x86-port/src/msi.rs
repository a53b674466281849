//! Interrupts of a PCI function by messages (PCI Local Bus Specification 3.0, 6.8.1), which name an entry of the interrupt remapping table: the unit
//! lets a function raise what its own entry says, and nothing else.

/// A function's configuration space. On real hardware the two ports; in a test, a table.
pub trait Space {
    /// The word at an offset, a multiple of 4.
    fn read(&mut self, offset: u8) -> u32;

    /// Writes the word at an offset.
    fn write(&mut self, offset: u8, value: u32);
}

/// Offsets: status and command, and where the list of capabilities begins.
const STATUS: u8 = 0x04;
const LIST: u8 = 0x34;
/// Status: there is a list.
const HAS_LIST: u32 = 1 << 20;
/// Most capabilities that fit behind the header: a list that is longer goes round in circles.
const MOST: usize = 48;
/// The capability's number, and the five words that it has at most.
const MSI: (u32, u8) = (0x05, 5);
/// Its first word: enabled; how many messages are; the address has 64 bits; messages can be masked.
const ENABLED: u32 = 1 << 16;
const MESSAGES: u32 = 0b111 << 20;
const WIDE: u32 = 1 << 23;
const MASKS: u32 = 1 << 24;

/// The address that names an entry (Intel 671081, 5.1.2.2): the remappable format, its number in bits 19:5 and 2.
pub(crate) const fn address(entry: u16) -> u32 {
    const REMAPPABLE: u32 = 0xfee0_0010;
    let entry = entry as u32;
    REMAPPABLE | (entry & 0x7fff) << 5 | entry >> 15 << 2
}

/// Where the function has the capability with a number, of at most so many words.
pub(crate) fn capability(space: &mut impl Space, (number, words): (u32, u8)) -> Option<u8> {
    if space.read(STATUS) & HAS_LIST == 0 {
        return None;
    }
    let mut at = space.read(LIST) as u8 & !3;
    for _ in 0..MOST {
        if at < 0x40 {
            return None;
        }
        let word = space.read(at);
        if word & 0xff == number {
            return (u16::from(at) + 4 * u16::from(words) <= 0x100).then_some(at);
        }
        at = (word >> 8) as u8 & !3;
    }
    None
}

/// Has the function send one message, that names `entry`. False: it has no such messages.
pub fn enable(space: &mut impl Space, entry: u16) -> bool {
    let Some(at) = capability(space, MSI) else {
        return false;
    };
    let control = space.read(at) & !(ENABLED | MESSAGES);
    space.write(at, control);
    space.write(at + 4, address(entry));
    let mut next = at + 8;
    if control & WIDE != 0 {
        space.write(next, 0);
        next += 4;
    }
    // The data say nothing more.
    space.write(next, 0);
    if control & MASKS != 0 {
        space.write(next + 4, 0);
    }
    space.write(at, control | ENABLED);
    true
}

/// Has the function send none.
pub fn disable(space: &mut impl Space) {
    if let Some(at) = capability(space, MSI) {
        let control = space.read(at) & !(ENABLED | MESSAGES);
        space.write(at, control);
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A configuration space.
    pub(crate) struct Table(pub(crate) [u32; 64]);

    impl Space for Table {
        fn read(&mut self, offset: u8) -> u32 {
            assert_eq!(offset % 4, 0);
            self.0[usize::from(offset / 4)]
        }

        fn write(&mut self, offset: u8, value: u32) {
            assert_eq!(offset % 4, 0);
            self.0[usize::from(offset / 4)] = value;
        }
    }

    /// A function with these words from an offset on, where its list begins.
    pub(crate) fn function(at: u8, words: &[u32]) -> Table {
        let mut table = Table([0; 64]);
        table.write(STATUS, HAS_LIST | 0x406);
        table.write(LIST, at.into());
        for (word, place) in words.iter().zip((at..).step_by(4)) {
            table.write(place, *word);
        }
        table
    }

    #[test]
    fn message_of_64_bits_names_its_entry_and_is_the_only_one() {
        // Power management, then the messages: 8 of them possible, 4 enabled by firmware.
        let mut table = function(0x50, &[0x6001, 0, 0, 0, 0x00a7_0005, 7, 7, 7]);
        assert!(enable(&mut table, 3));
        assert_eq!(
            table.0[0x60 / 4..0x70 / 4],
            [0x0087_0005, 0xfee0_0070, 0, 0]
        );
        disable(&mut table);
        assert_eq!(table.read(0x60), 0x0086_0005);
    }

    #[test]
    fn message_of_32_bits_has_its_data_behind_the_address_and_is_not_masked() {
        let mut table = function(0x40, &[0x0100_0005, 7, 7, 7, 7]);
        assert!(enable(&mut table, 0x8001));
        assert_eq!(
            table.0[0x40 / 4..0x54 / 4],
            [0x0101_0005, 0xfee0_0034, 0, 0, 7]
        );
    }

    #[test]
    fn function_without_messages_or_with_a_senseless_list_has_none() {
        let mut none = function(0x50, &[0x0001]);
        let mut circle = function(0x50, &[0x5001]);
        let mut beyond = function(0xf0, &[0x0005]);
        let mut header = function(0x04, &[]);
        let mut without = Table([0; 64]);
        for table in [
            &mut none,
            &mut circle,
            &mut beyond,
            &mut header,
            &mut without,
        ] {
            assert!(!enable(table, 0));
            disable(table);
        }
    }
}
