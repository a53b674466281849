//! EL2's own translation (Arm ARM D8): 4 KiB granule, as the image sets it up, with everything checked that it could get wrong.

use super::Cpu;
use crate::bus::Bus;
use crate::fault::{Access, Fault};

/// Places of the TLB.
const PLACES: usize = 512;
/// `PARange` and `PS` in bits (D19.2.64).
pub(crate) const WIDTHS: [u32; 7] = [32, 36, 40, 42, 44, 48, 52];

#[derive(Clone, Copy)]
struct Entry {
    page: u64,
    target: u64,
    writable: bool,
    executable: bool,
    device: bool,
}

/// Translations that were made.
pub(super) struct Tlb(Box<[Option<Entry>]>);

impl Default for Tlb {
    fn default() -> Self {
        Self(vec![None; PLACES].into_boxed_slice())
    }
}

impl Tlb {
    pub(super) fn forget(&mut self) {
        self.0.fill(None);
    }
}

impl Cpu {
    /// The instruction at the program counter.
    pub(super) fn fetch(&mut self, bus: &mut Bus) -> Result<u32, Fault> {
        let address = self.translate(bus, self.pc, 4, Access::Fetch)?;
        if !bus.ram.borrow().has(address, 4) {
            let access = Access::Fetch;
            return Err(Fault::Outside {
                access,
                address,
                size: 4,
            });
        }
        Ok(bus.read(self.index, address, 4)? as u32)
    }

    /// Reads `size` bytes at a virtual address.
    pub(super) fn read(&mut self, bus: &mut Bus, address: u64, size: usize) -> Result<u64, Fault> {
        if address & 0xfff > 0x1000 - size as u64 {
            // In two pages.
            let mut value = 0;
            for at in 0..size as u64 {
                value |= self.read(bus, address.wrapping_add(at), 1)? << (8 * at);
            }
            return Ok(value);
        }
        let physical = self.translate(bus, address, size, Access::Read)?;
        bus.read(self.index, physical, size)
    }

    /// Writes `size` bytes at a virtual address.
    pub(super) fn write(
        &mut self,
        bus: &mut Bus,
        address: u64,
        size: usize,
        value: u64,
    ) -> Result<(), Fault> {
        if address & 0xfff > 0x1000 - size as u64 {
            for at in 0..size as u64 {
                self.write(bus, address.wrapping_add(at), 1, value >> (8 * at))?;
            }
            return Ok(());
        }
        let physical = self.translate(bus, address, size, Access::Write)?;
        bus.write(self.index, physical, size, value)
    }

    /// A fault when nothing is mapped there.
    pub(super) fn must_be_mapped(&mut self, bus: &mut Bus, address: u64) -> Result<(), Fault> {
        self.translate(bus, address, 1, Access::Read).map(drop)
    }

    /// What exclusive and ordered accesses need (B2.2.1).
    pub(super) fn must_be_aligned(
        &self,
        address: u64,
        size: usize,
        load: bool,
    ) -> Result<(), Fault> {
        let access = if load { Access::Read } else { Access::Write };
        let why = "an ordered or exclusive access that is not aligned";
        let aligned = address.is_multiple_of(size as u64);
        aligned.then_some(()).ok_or(Fault::Translation {
            access,
            address,
            why,
        })
    }

    fn translate(
        &mut self,
        bus: &mut Bus,
        address: u64,
        size: usize,
        access: Access,
    ) -> Result<u64, Fault> {
        let no = |why| {
            Err(Fault::Translation {
                access,
                address,
                why,
            })
        };
        let aligned = address.is_multiple_of(size as u64);
        if !self.system.translates() {
            return match aligned {
                true => Ok(address),
                false => no("not aligned, and the MMU is off"),
            };
        }
        let page = address >> 12;
        let place = (page ^ page >> 27) as usize % PLACES;
        let entry = match self.tlb.0[place] {
            Some(entry) if entry.page == page => entry,
            _ => {
                let entry = self.walk(bus, address, access)?;
                self.tlb.0[place] = Some(entry);
                entry
            }
        };
        match access {
            Access::Write if !entry.writable => no("the page is read-only"),
            Access::Fetch if !entry.executable => no("the page is not executable"),
            _ if entry.device && !aligned => no("not aligned, in Device memory"),
            _ => Ok(entry.target | address & 0xfff),
        }
    }

    fn walk(&self, bus: &Bus, address: u64, access: Access) -> Result<Entry, Fault> {
        let no = |why| {
            Err(Fault::Translation {
                access,
                address,
                why,
            })
        };
        let control = self.system.named("TCR_EL2")?;
        let bits = 64 - (control & 0x3f) as u32;
        let range = self.system.named("ID_AA64MMFR0_EL1")? & 0xf;
        if control >> 14 & 3 != 0 || !(25..=48).contains(&bits) {
            return no("TCR_EL2 does not say 4 KiB");
        }
        if control >> 16 & 7 > range {
            return no("TCR_EL2.PS is wider than the CPU's addresses");
        }
        if address >> bits != 0 {
            return no("beyond TCR_EL2.T0SZ");
        }
        let widest = WIDTHS[(control >> 16 & 7).min(6) as usize];
        let ram = bus.ram.borrow();
        let mut table = self.system.named("TTBR0_EL2")? & 0x0000_ffff_ffff_f000;
        let first = 4 - (bits - 12).div_ceil(9);
        let mut read_only = false;
        let mut never = false;
        for level in first..=3 {
            let shift = 39 - 9 * level;
            let descriptor = ram.word(table + (address >> shift & 511) * 8)?;
            let target = descriptor & 0x0000_ffff_ffff_f000;
            if target >> widest != 0 {
                return no("leads beyond the CPU's physical addresses");
            }
            match (descriptor & 3, level) {
                (3, 0..=2) => {
                    // APTable[1], XNTable.
                    read_only |= descriptor >> 62 & 1 != 0;
                    never |= descriptor >> 60 & 1 != 0;
                    table = target;
                }
                (3, 3) | (1, 1 | 2) => {
                    if descriptor >> 10 & 1 == 0 {
                        return no("the access flag is clear");
                    }
                    let kinds = self.system.named("MAIR_EL2")?;
                    let kind = kinds >> (8 * (descriptor >> 2 & 7)) & 0xff;
                    let writable = !read_only && descriptor >> 7 & 1 == 0;
                    let device = kind & 0xf0 == 0;
                    // SCTLR_EL2.WXN.
                    let either = self.system.named("SCTLR_EL2")? >> 19 & 1 != 0;
                    let never = never || descriptor >> 54 & 1 != 0 || writable && either;
                    return Ok(Entry {
                        page: address >> 12,
                        target: target & !((1 << shift) - 1)
                            | address & ((1 << shift) - 1) & !0xfff,
                        writable,
                        executable: !never && !device,
                        device,
                    });
                }
                _ => return no("nothing is mapped there"),
            }
        }
        no("nothing is mapped there")
    }
}
