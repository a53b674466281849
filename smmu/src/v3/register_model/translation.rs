//! What becomes of an access.

use super::{GBPA, Model, Outcome};

/// Event numbers.
const BAD_STREAM: u64 = 0x02;
const BAD_ENTRY: u64 = 0x04;
const TRANSLATION: u64 = 0x10;
const ADDRESS_SIZE: u64 = 0x11;
const ACCESS_FLAG: u64 = 0x12;
const PERMISSION: u64 = 0x13;

impl Model {
    /// An access of a device.
    pub fn access(&mut self, stream: u32, address: u64, write: bool) -> Outcome {
        if !self.is_on(0) {
            if self.register(GBPA) >> 20 & 1 != 0 {
                return Outcome::Aborted;
            }
            self.bypassed = true;
            return Outcome::Reached(address);
        }
        let entry = match self.entries.get(&stream) {
            Some(kept) => *kept,
            None => {
                let fetched = self.fetch(stream);
                self.entries.insert(stream, fetched);
                fetched
            }
        };
        let Some(entry) = entry else {
            // CR2.RECINVSID.
            if self.register(0x2c) >> 1 & 1 != 0 {
                self.event(BAD_STREAM, stream, address, write, true);
            }
            return Outcome::Aborted;
        };
        if entry[0] & 1 == 0 {
            return self.event(BAD_ENTRY, stream, address, write, true);
        }
        match entry[0] >> 1 & 7 {
            0..=3 => Outcome::Aborted,
            4 => {
                self.bypassed = true;
                Outcome::Reached(address)
            }
            6 => self.stage_2(&entry, stream, address, write),
            _ => self.event(BAD_ENTRY, stream, address, write, true),
        }
    }

    /// The stream's entry; `None` when there is none.
    fn fetch(&self, stream: u32) -> Option<[u64; 8]> {
        let base = self.double(0x80) & 0x000f_ffff_ffff_ffc0;
        let configuration = self.register(0x88);
        let size = configuration & 0x3f;
        assert!(size <= self.behaviour.idr1 & 0x3f, "LOG2SIZE over SIDSIZE");
        if u64::from(stream) >> size != 0 {
            return None;
        }
        let at = match configuration >> 16 & 3 {
            0 => {
                assert!(
                    base.is_multiple_of(64 << size),
                    "table not aligned to its size"
                );
                base + u64::from(stream) * 64
            }
            1 => {
                assert!(self.behaviour.idr0 >> 27 & 1 != 0, "no two levels here");
                let split = configuration >> 6 & 0x1f;
                assert!([6, 8, 10].contains(&split), "no such split");
                let bytes = 8u64 << size.saturating_sub(split);
                assert!(
                    base.is_multiple_of(bytes.max(64)),
                    "first level not aligned to its size"
                );
                let descriptor = self.load(base + u64::from(stream >> split) * 8);
                let span = descriptor & 0x1f;
                let index = u64::from(stream & ((1 << split) - 1));
                if span == 0 || index >= 1 << (span - 1) {
                    return None;
                }
                let table = descriptor & 0x000f_ffff_ffff_ffc0;
                assert!(
                    table.is_multiple_of(64 << (span - 1)),
                    "second level not aligned to its size"
                );
                table + index * 64
            }
            _ => panic!("no such format"),
        };
        Some(std::array::from_fn(|word| self.load(at + word as u64 * 8)))
    }

    fn stage_2(&mut self, entry: &[u64; 8], stream: u32, address: u64, write: bool) -> Outcome {
        let control = entry[2];
        let field = |at: u32, mask: u64| control >> at & mask;
        assert!(
            field(51, 1) == 1,
            "AArch32 tables make some SMMUs fail altogether"
        );
        let (size, start, granule, output) =
            (field(32, 63), field(38, 3), field(46, 3), field(48, 7));
        let bits = 64 - size;
        let agree = match start {
            1 => (31..=43).contains(&bits),
            2 => (40..=48).contains(&bits),
            _ => false,
        };
        let oas = u64::from(self.behaviour.idr5 & 7);
        if !agree || granule != 0 || output > oas || field(57, 1) != 0 {
            return self.event(BAD_ENTRY, stream, address, write, true);
        }
        assert!(
            field(40, 15) == 0b0101 && field(44, 3) == 3,
            "walks are not coherent"
        );
        let recorded = field(58, 1) != 0;
        let vmid = control as u16;
        if address >> bits != 0 {
            return self.event(TRANSLATION, stream, address, write, recorded);
        }
        let page = address >> 12;
        let descriptor = match self.translations.get(&(vmid, page)) {
            Some(kept) => *kept,
            None => match self.walk(entry[3], start, address) {
                Ok(found) => {
                    self.translations.insert((vmid, page), found);
                    found
                }
                Err(event) => return self.event(event, stream, address, write, recorded),
            },
        };
        let needed = if write { 2 } else { 1 };
        if descriptor >> 10 & 1 == 0 {
            return self.event(ACCESS_FLAG, stream, address, write, recorded);
        }
        if descriptor >> 6 & needed == 0 {
            return self.event(PERMISSION, stream, address, write, recorded);
        }
        Outcome::Reached(descriptor & 0x0000_ffff_ffff_f000 | address & 0xfff)
    }

    /// The descriptor of the page, as if every page had one.
    fn walk(&self, root: u64, start: u64, address: u64) -> Result<u64, u64> {
        let mut table = root & 0x000f_ffff_ffff_fff0;
        let first = if start == 2 { 0 } else { 1 };
        for level in first..=3u32 {
            let shift = 39 - 9 * level;
            // Tables side by side at the first level are one.
            let mask = if level == first { u64::MAX } else { 511 };
            let descriptor = self.load(table + (address >> shift & mask) * 8);
            let target = descriptor & 0x0000_ffff_ffff_f000;
            match (descriptor & 3, level) {
                (3, 0..=2) => table = target,
                (3, 3) | (1, 1..=2) => {
                    let inside = address & ((1 << shift) - 1) & !0xfff;
                    let page = target | inside;
                    if page >> 44 != 0 {
                        return Err(ADDRESS_SIZE);
                    }
                    return Ok(descriptor & !0x0000_ffff_ffff_f000 | page);
                }
                _ => return Err(TRANSLATION),
            }
        }
        Err(TRANSLATION)
    }

    fn event(
        &mut self,
        event: u64,
        stream: u32,
        address: u64,
        write: bool,
        recorded: bool,
    ) -> Outcome {
        if recorded {
            let second = u64::from(!write) << 35 | 1 << 39 | 2 << 40;
            let about = if event >= 0x10 { address } else { 0 };
            self.record([
                event | u64::from(stream) << 32,
                second,
                about,
                about & !0xfff,
            ]);
        }
        Outcome::Aborted
    }
}
