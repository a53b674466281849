//! Branches, exceptions and system instructions (Arm ARM C4.1.93).

use super::{Cpu, Step, field, signed};
use crate::bus::Bus;
use crate::fault::Fault;

/// `SPSR_EL2.M`: to EL1 with its own stack pointer.
const EL1H: u64 = 0b0101;

impl Cpu {
    /// Sets the program counter itself.
    pub(super) fn branch(&mut self, bus: &mut Bus, word: u32) -> Result<Step, Fault> {
        let next = self.pc + 4;
        let by = |value: u64| self.pc.wrapping_add(value << 2);
        let rt = field(word, 0, 5);
        let rn = field(word, 5, 5);
        let value = if word >> 31 != 0 {
            self.get(rt)
        } else {
            self.get(rt) & 0xffff_ffff
        };
        let inverted = field(word, 24, 1) != 0;
        if word & 0x7c00_0000 == 0x1400_0000 {
            let target = by(signed(field(word, 0, 26), 26));
            if word >> 31 != 0 {
                self.set(30, true, next);
            }
            self.pc = target;
        } else if word & 0x7e00_0000 == 0x3400_0000 {
            let target = by(signed(field(word, 5, 19), 19));
            self.pc = if (value == 0) != inverted {
                target
            } else {
                next
            };
        } else if word & 0x7e00_0000 == 0x3600_0000 {
            let bit = field(word, 31, 1) << 5 | field(word, 19, 5);
            let target = by(signed(field(word, 5, 14), 14));
            let clear = self.get(rt) >> bit & 1 == 0;
            self.pc = if clear != inverted { target } else { next };
        } else if word & 0xff00_0010 == 0x5400_0000 {
            let target = by(signed(field(word, 5, 19), 19));
            self.pc = if self.flags.hold(field(word, 0, 4)) {
                target
            } else {
                next
            };
        } else if word & 0xff9f_fc1f == 0xd61f_0000 && field(word, 21, 2) < 3 {
            // BR, BLR, RET.
            let target = self.get(rn);
            if field(word, 21, 2) == 1 {
                self.set(30, true, next);
            }
            self.pc = target;
        } else if word == 0xd69f_03e0 {
            return self.enter_guest();
        } else if word & 0xffe0_001f == 0xd400_0003 {
            self.pc = next;
            return Ok(Step::Firmware);
        } else {
            let step = self.system_instruction(bus, word)?;
            self.pc = next;
            return Ok(step);
        }
        Ok(Step::Next)
    }

    /// ERET: out of EL2 there is only the way to a guest.
    fn enter_guest(&mut self) -> Result<Step, Fault> {
        let state = self.system.named("SPSR_EL2")?;
        if state & 0x1f != EL1H {
            return Err(Fault::Guest(format!("SPSR_EL2 is {state:#x}")));
        }
        self.pc = self.system.named("ELR_EL2")?;
        Ok(Step::Guest)
    }

    fn system_instruction(&mut self, bus: &mut Bus, word: u32) -> Result<Step, Fault> {
        let rt = field(word, 0, 5);
        if word & 0xffff_f01f == 0xd503_201f {
            return Ok(match field(word, 5, 7) {
                // YIELD, WFE.
                1 | 2 => Step::Yield,
                // WFI.
                3 => Step::Wait,
                _ => Step::Next,
            });
        }
        if word & 0xffff_f01f == 0xd503_301f {
            // Barriers, and CLREX.
            if field(word, 5, 3) == 2 {
                self.exclusive = None;
            }
            return Ok(Step::Next);
        }
        if word & 0xfff8_f01f == 0xd500_401f {
            // MSR of a PSTATE field: DAIF, SPSel.
            return Ok(Step::Next);
        }
        let encoding = field(word, 5, 16) as u16;
        if word & 0xfff8_0000 == 0xd508_0000 {
            return self.maintain(bus, encoding, self.get(rt));
        }
        if word & 0xffd0_0000 != 0xd510_0000 {
            return Err(Fault::Instruction(word));
        }
        if field(word, 21, 1) != 0 {
            let value = self.system.read(encoding)?;
            self.set(rt, true, value);
        } else {
            self.system.write(encoding, self.get(rt))?;
            self.tlb.forget();
        }
        Ok(Step::Next)
    }

    /// SYS: caches and TLBs. Lines and translations are not modelled, but whether the address is mapped.
    fn maintain(&mut self, bus: &mut Bus, encoding: u16, address: u64) -> Result<Step, Fault> {
        let [op1, crn, crm, op2] = [
            field(encoding.into(), 11, 3),
            field(encoding.into(), 7, 4),
            field(encoding.into(), 3, 4),
            field(encoding.into(), 0, 3),
        ];
        match (op1, crn, crm, op2) {
            // DC ZVA: 64 bytes, as DCZID_EL0 says.
            (3, 7, 4, 1) => {
                let first = address & !63;
                for offset in (0..64).step_by(8) {
                    self.write(bus, first + offset, 8, 0)?;
                }
            }
            // DC IVAC, CVAC, CVAU, CIVAC.
            (0, 7, 6, 1) | (3, 7, 10 | 11 | 14, 1) => self.must_be_mapped(bus, address)?,
            // IC IALLUIS, IALLU, IVAU.
            (0, 7, 1 | 5, 0) | (3, 7, 5, 1) => {}
            // TLBI.
            (_, 8, ..) => self.tlb.forget(),
            _ => {
                let name = format!("SYS #{op1}, C{crn}, C{crm}, #{op2}");
                return Err(Fault::Register(name));
            }
        }
        Ok(Step::Next)
    }
}
