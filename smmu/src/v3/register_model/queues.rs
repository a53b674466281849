//! Commands in, events out.

use super::{Forget, GERROR, GERRORN, Model};

impl Model {
    /// Takes the next command, if there is one and nothing is in the way.
    pub(super) fn take_command(&mut self) {
        let stopped = (self.register(GERROR) ^ self.register(GERRORN)) & 1 != 0;
        if !self.is_on(3) || stopped || self.behaviour.deaf {
            return;
        }
        let base = self.double(0x90);
        let bits = base & 0x1f;
        let turn = (2u32 << bits) - 1;
        let taken = self.register(0x9c) & turn;
        if taken == self.register(0x98) & turn {
            return;
        }
        let index = u64::from(taken & (turn >> 1));
        let at = (base & 0x000f_ffff_ffff_ffe0) + index * 16;
        let [first, second] = [self.load(at), self.load(at + 8)];
        let opcode = first as u8;
        let known = match opcode {
            0x04 => second & 31 == 31,
            0x20 => self.behaviour.idr0 >> 9 & 1 != 0,
            0x28 | 0x30 | 0x46 => true,
            _ => false,
        };
        if !known || self.behaviour.refused == Some(opcode) {
            // CERROR_ILL: the queue stops at the command.
            self.set_register(0x9c, taken | 1 << 24);
            return self.global_error(0);
        }
        self.commands.push(opcode);
        match opcode {
            0x04 => self.unfinished.push(Forget::Entries),
            0x28 => self
                .unfinished
                .push(Forget::Translations(Some((first >> 32) as u16))),
            0x30 => self.unfinished.push(Forget::Translations(None)),
            0x46 => {
                for forget in std::mem::take(&mut self.unfinished) {
                    match forget {
                        Forget::Entries => self.entries.clear(),
                        Forget::Translations(None) => self.translations.clear(),
                        Forget::Translations(Some(wanted)) => {
                            self.translations.retain(|(vmid, _), _| *vmid != wanted);
                        }
                    }
                }
            }
            _ => {}
        }
        self.set_register(0x9c, (taken + 1) & turn);
    }

    /// Records an event.
    pub(super) fn record(&mut self, record: [u64; 4]) {
        if !self.is_on(2) {
            return;
        }
        if self.behaviour.events_abort {
            return self.global_error(2);
        }
        let base = self.double(0xa0);
        let bits = base & 0x1f;
        let turn = (2u32 << bits) - 1;
        let [written, taken] = [0x100a8, 0x100ac].map(|offset| self.register(offset));
        if (written ^ taken) & turn == 1 << bits {
            // Full: the overflow flag differs from its acknowledgement from here on.
            let told = written & !(1 << 31) | (!taken & 1 << 31);
            return self.set_register(0x100a8, told);
        }
        if (written ^ taken) & turn == 0 {
            self.interrupts += (self.register(0x54) >> 2 & 1) as usize;
        }
        let index = u64::from(written & (turn >> 1));
        let at = (base & 0x000f_ffff_ffff_ffe0) + index * 32;
        for (word, value) in record.into_iter().enumerate() {
            self.store(at + word as u64 * 8, value);
        }
        let next = (written + 1) & turn | written & 1 << 31;
        self.set_register(0x100a8, next);
    }
}
