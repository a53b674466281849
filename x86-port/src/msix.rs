//! Interrupts of a PCI function by many messages (MSI-X; PCI Local Bus Specification 3.0, 6.8.2), each of which has an entry in a table in the function's
//! memory, and names an entry of the interrupt remapping table there.
//!
//! The hypervisor alone writes the table. Were somebody else to, the unit would still let the function raise nothing but what its own entries say.

use model::x86::MessageTable;
use smmu::RegisterFrame;

use crate::msi::{Space, address, capability};

/// The capability's number and words.
const MSIX: (u32, u8) = (0x11, 3);
/// Its first word: enabled; all masked; one less than how many entries there are.
const ENABLED: u32 = 1 << 31;
const ALL_MASKED: u32 = 1 << 30;
const LAST: u32 = 0x7ff << 16;
/// Its second word: the BAR, and where the table begins there.
const BAR: u32 = 0b111;
/// Bytes of an entry: its address in two halves, its data, and whether it is masked.
const ENTRY: usize = MessageTable::ENTRY as usize;
const MASK: usize = 12;
const MASKED: u32 = 1;

/// Where the function has its table. `None`: it has no such messages.
pub fn locate(space: &mut impl Space) -> Option<MessageTable> {
    let at = capability(space, MSIX)?;
    let (control, place) = (space.read(at), space.read(at + 4));
    Some(MessageTable {
        bar: (place & BAR) as u8,
        offset: place & !BAR,
        entries: ((control & LAST) >> 16) as u16 + 1,
    })
}

/// Has the function send what its table says, or nothing.
pub fn switch(space: &mut impl Space, on: bool) {
    if let Some(at) = capability(space, MSIX) {
        let control = space.read(at) & !(ENABLED | ALL_MASKED);
        let control = if on { control | ENABLED } else { control };
        space.write(at, control);
    }
}

/// Has a message name an entry of the remapping table.
pub fn send(table: &mut impl RegisterFrame, message: u16, entry: u16) {
    let at = usize::from(message) * ENTRY;
    // An entry that is not masked is not changed (6.8.2.9).
    table.write(at + MASK, MASKED);
    table.write(at, address(entry));
    table.write(at + 4, 0);
    // The data say nothing more.
    table.write(at + 8, 0);
    table.write(at + MASK, 0);
}

/// Has a message not be sent.
pub fn mask(table: &mut impl RegisterFrame, message: u16) {
    table.write(usize::from(message) * ENTRY + MASK, MASKED);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::msi::tests::function;

    /// A table of messages, and in which order it was written.
    #[derive(Default)]
    struct Entries(Vec<(usize, u32)>);

    impl RegisterFrame for Entries {
        fn read(&mut self, offset: usize) -> u32 {
            let last = self.0.iter().rev().find(|(at, _)| *at == offset);
            last.map_or(0, |(_, value)| *value)
        }

        fn write(&mut self, offset: usize, value: u32) {
            self.0.push((offset, value));
        }
    }

    #[test]
    fn table_is_where_the_capability_says() {
        // Power management, then five messages, all masked, in BAR 3 from 0x2000 on.
        let words = [0x6001, 0, 0, 0, 0xc004_0011, 0x2003, 0x3003];
        let mut space = function(0x50, &words);
        let expected = MessageTable {
            bar: 3,
            offset: 0x2000,
            entries: 5,
        };
        assert_eq!(locate(&mut space), Some(expected));
        switch(&mut space, true);
        assert_eq!(space.read(0x60), 0x8004_0011);
        switch(&mut space, false);
        assert_eq!(space.read(0x60), 0x0004_0011);
    }

    #[test]
    fn hostile_tables_are_told_as_they_are_for_the_boards_file_to_refuse() {
        let mut space = function(0x40, &[0x07ff_0011, 0xffff_ffff, 0]);
        let expected = MessageTable {
            bar: 7,
            offset: 0xffff_fff8,
            entries: MessageTable::MOST,
        };
        assert_eq!(locate(&mut space), Some(expected));
    }

    #[test]
    fn function_without_such_messages_is_left_alone() {
        for mut space in [
            // A list that goes round, one message, and a capability that does not fit.
            function(0x50, &[0x5001]),
            function(0x50, &[0x0005, 0, 0]),
            function(0xf8, &[0x0011, 3]),
        ] {
            let before = space.0;
            assert_eq!(locate(&mut space), None);
            switch(&mut space, true);
            assert_eq!(space.0, before);
        }
    }

    #[test]
    fn entry_is_masked_while_it_changes_and_no_other_is_touched() {
        let mut table = Entries::default();
        send(&mut table, 2, 0x8003);
        let words = [(44, 1), (32, 0xfee0_0074), (36, 0), (40, 0), (44, 0)];
        assert_eq!(table.0, words);
        mask(&mut table, 2);
        assert_eq!(table.read(44), MASKED);
        assert!(table.0.iter().all(|(at, _)| (32..48).contains(at)));
    }
}
