//! Loads and stores (Arm ARM C4.1.94).

use super::registers::extended;
use super::{Cpu, Step, field, signed};
use crate::bus::Bus;
use crate::fault::Fault;

impl Cpu {
    pub(super) fn load_or_store(&mut self, bus: &mut Bus, word: u32) -> Result<Step, Fault> {
        if word & 0x3f00_0000 == 0x0800_0000 {
            self.exclusive(bus, word)?;
        } else if word & 0x3f00_0000 == 0x1800_0000 {
            self.literal(bus, word)?;
        } else if word & 0x3e00_0000 == 0x2800_0000 {
            self.pair(bus, word)?;
        } else if word & 0x3e00_0000 == 0x3800_0000 {
            self.single(bus, word)?;
        } else {
            return Err(Fault::Instruction(word));
        }
        Ok(Step::Next)
    }

    fn literal(&mut self, bus: &mut Bus, word: u32) -> Result<(), Fault> {
        let address = self.pc.wrapping_add(signed(field(word, 5, 19), 19) << 2);
        let rt = field(word, 0, 5);
        match word >> 30 {
            0 => {
                let value = self.read(bus, address, 4)?;
                self.set(rt, false, value);
            }
            1 => {
                let value = self.read(bus, address, 8)?;
                self.set(rt, true, value);
            }
            2 => {
                let value = self.read(bus, address, 4)?;
                self.set(rt, true, value as i32 as u64);
            }
            // PRFM.
            _ => {}
        }
        Ok(())
    }

    fn pair(&mut self, bus: &mut Bus, word: u32) -> Result<(), Fault> {
        let (load, kind) = (field(word, 22, 1) != 0, word >> 30);
        let size: u64 = if kind == 2 { 8 } else { 4 };
        if kind == 3 || kind == 1 && !load {
            return Err(Fault::Instruction(word));
        }
        let (rn, mode) = (field(word, 5, 5), field(word, 23, 2));
        let targets = [field(word, 0, 5), field(word, 10, 5)];
        let base = self.get_sp(rn);
        let moved = base.wrapping_add(signed(field(word, 15, 7), 7).wrapping_mul(size));
        let first = if mode == 1 { base } else { moved };
        let mut loaded = [0; 2];
        for (index, target) in targets.into_iter().enumerate() {
            let address = first.wrapping_add(index as u64 * size);
            match load {
                true => loaded[index] = self.read(bus, address, size as usize)?,
                false => self.write(bus, address, size as usize, self.get(target))?,
            }
        }
        if load {
            for (target, value) in targets.into_iter().zip(loaded) {
                let value = if kind == 1 {
                    value as i32 as u64
                } else {
                    value
                };
                self.set(target, true, value);
            }
        }
        if mode & 1 != 0 {
            self.set_sp(rn, true, moved);
        }
        Ok(())
    }

    fn single(&mut self, bus: &mut Bus, word: u32) -> Result<(), Fault> {
        let scale = word >> 30;
        let (rn, rt) = (field(word, 5, 5), field(word, 0, 5));
        let base = self.get_sp(rn);
        let by = signed(field(word, 12, 9), 9);
        let (address, after) = match (field(word, 24, 1), field(word, 21, 1), field(word, 10, 2)) {
            (1, ..) => (
                base.wrapping_add(u64::from(field(word, 10, 12)) << scale),
                None,
            ),
            (0, 0, 0) => (base.wrapping_add(by), None),
            (0, 0, 1) => (base, Some(base.wrapping_add(by))),
            (0, 0, 3) => (base.wrapping_add(by), Some(base.wrapping_add(by))),
            (0, 1, 2) => {
                let index = extended(self.get(field(word, 16, 5)), field(word, 13, 3));
                let shift = if field(word, 12, 1) != 0 { scale } else { 0 };
                (base.wrapping_add(index << shift), None)
            }
            _ => return Err(Fault::Instruction(word)),
        };
        let size = 1 << scale;
        match field(word, 22, 2) {
            0 => self.write(bus, address, size, self.get(rt))?,
            1 => {
                let value = self.read(bus, address, size)?;
                self.set(rt, true, value);
            }
            // PRFM.
            2 if scale == 3 => {}
            wide @ (2 | 3) if scale < 3 => {
                let value = self.read(bus, address, size)?;
                self.set(rt, wide == 2, extended(value, scale | 4));
            }
            _ => return Err(Fault::Instruction(word)),
        }
        if let Some(after) = after {
            self.set_sp(rn, true, after);
        }
        Ok(())
    }

    /// LDXR, STXR, LDAR, STLR and their kin.
    fn exclusive(&mut self, bus: &mut Bus, word: u32) -> Result<(), Fault> {
        let size = 1 << (word >> 30);
        let (ordered, pair) = (field(word, 23, 1) != 0, field(word, 21, 1) != 0);
        let load = field(word, 22, 1) != 0;
        let (rn, rt) = (field(word, 5, 5), field(word, 0, 5));
        if pair {
            return Err(Fault::Instruction(word));
        }
        let address = self.get_sp(rn);
        self.must_be_aligned(address, size, load)?;
        match (ordered, load) {
            (true, true) => {
                let value = self.read(bus, address, size)?;
                self.set(rt, true, value);
            }
            (true, false) => self.write(bus, address, size, self.get(rt))?,
            (false, true) => {
                let value = self.read(bus, address, size)?;
                self.exclusive = Some((address, size));
                self.set(rt, true, value);
            }
            (false, false) => {
                let held = self.exclusive.take() == Some((address, size));
                if held {
                    self.write(bus, address, size, self.get(rt))?;
                }
                self.set(field(word, 16, 5), false, u64::from(!held));
            }
        }
        Ok(())
    }
}
