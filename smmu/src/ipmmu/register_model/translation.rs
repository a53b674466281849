//! What becomes of an access.

use super::registers::Register::*;
use super::{Kept, Model, Outcome};

/// Bits of IMSTR.
const TRANSLATION: u32 = 1;
const PERMISSION: u32 = 2;
const WALK_ABORT: u32 = 4;

/// Which tables a context walks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    /// VMSAv8-64 stage 2, with this many bits of address.
    Stage2(u32),
    /// Long descriptors of VMSAv8-32 stage 1.
    Stage1,
}

impl Model {
    /// An access of a device behind a micro-TLB of a cache.
    pub fn access(&mut self, cache: usize, number: usize, address: u64, write: bool) -> Outcome {
        let context = self.selected(cache, number);
        let on = context.filter(|context| {
            [Some(cache), None]
                .iter()
                .all(|instance| self.register(*instance, Control(*context)) & 1 != 0)
        });
        let Some(context) = on else {
            self.bypassed = true;
            return Outcome::Reached(address);
        };
        let page = address >> 12;
        let kept = self.micro_tlbs.get(&(cache, number, page));
        let kept = kept.map(|(_, kept)| *kept);
        let kept = kept.or_else(|| self.cached.get(&(cache, context, page)).copied());
        let kept = kept.or_else(|| self.walked.get(&(context, page)).copied());
        let found = match kept {
            Some(kept) => Ok(kept),
            None => self.walk(context, address),
        };
        let permitted = found.and_then(|(base, writable)| {
            let kept = (base, writable);
            self.micro_tlbs
                .insert((cache, number, page), (context, kept));
            self.cached.insert((cache, context, page), kept);
            self.walked.insert((context, page), kept);
            match write && !writable {
                true => Err(PERMISSION),
                false => Ok(base | address & 0xfff),
            }
        });
        match permitted {
            Ok(reached) => Outcome::Reached(reached),
            Err(status) => {
                self.fault(context, status, address);
                Outcome::Aborted
            }
        }
    }

    /// The first fault leaves its address; later ones only what they are.
    pub fn fault(&mut self, context: usize, status: u32, address: u64) {
        let before = self.register(None, Status(context));
        if before == 0 {
            self.set_register(None, AddressLow(context), address as u32);
            self.set_register(None, AddressHigh(context), (address >> 32) as u32 & 0xff);
        }
        self.set_register(None, Status(context), before | status);
    }

    fn root(&self, context: usize) -> u64 {
        let [low, high] =
            [RootLow(context), RootHigh(context)].map(|register| self.register(None, register));
        assert!(low & 0xfff == 0 && high & !0xff == 0, "root");
        u64::from(low) | u64::from(high) << 32
    }

    /// Whether the context's table maps nothing, in whatever format.
    pub(super) fn is_empty(&self, context: usize) -> bool {
        let root = self.root(context);
        (0..512).all(|entry| self.load(root + entry * 8) == 0)
    }

    fn format(&self, context: usize) -> Format {
        let shape = self.register(None, Shape(context));
        let own = self.register(None, Control(context)) >> 29 & 1 != 0;
        let stage_2 = self.register(None, Auxiliary) >> 3 & 1 != 0;
        let bypasses_stage_1 = shape >> 30 & 1 != 0;
        assert!(shape >> 31 == 1, "short descriptors");
        assert_eq!(own, stage_2, "IMCTR.VA64 and IMSAUXCTLR.S2PTE disagree");
        assert_eq!(own, bypasses_stage_1, "IMCTR.VA64 and IMTTBCR.PMB disagree");
        let (start, size) = (shape >> 6 & 3, shape & 0x1f);
        if stage_2 {
            assert_eq!(start, 1, "stage 2 begins at level 1 with SL0 = 1");
            assert!((24..=31).contains(&size), "T0SZ {size}");
            return Format::Stage2(64 - size);
        }
        assert_eq!(
            (start, size),
            (2, 0),
            "stage 1 begins at level 1 with SL0 = 2"
        );
        Format::Stage1
    }

    fn walk(&self, context: usize, address: u64) -> Result<Kept, u32> {
        if self.behaviour.tables_abort {
            return Err(WALK_ABORT);
        }
        let format = self.format(context);
        let bits = match format {
            Format::Stage2(bits) => bits,
            Format::Stage1 => 32,
        };
        if address >> bits != 0 {
            return Err(TRANSLATION);
        }
        let mut table = self.root(context);
        if bits == 40 {
            assert!(table.is_multiple_of(0x2000), "two tables in a row");
        }
        for level in 1..=3 {
            let shift = 39 - 9 * level;
            let index = match level {
                1 => address >> shift,
                _ => address >> shift & 0x1ff,
            };
            let descriptor = self.load(table + index * 8);
            let next = descriptor & 0x00ff_ffff_f000;
            match (descriptor & 3, level) {
                (3, 1 | 2) => {
                    // Without NSTable it reads as a Secure one, which is not for us.
                    if format == Format::Stage1 && descriptor >> 63 == 0 {
                        return Err(PERMISSION);
                    }
                    table = next;
                }
                (1, 1 | 2) | (3, 3) => {
                    let base = next | address & ((1 << shift) - 1) & !0xfff;
                    return self
                        .leaf(context, format, descriptor)
                        .map(|writable| (base, writable));
                }
                _ => return Err(TRANSLATION),
            }
        }
        unreachable!("level 3 has pages only")
    }

    /// Whether what the descriptor maps may be written.
    fn leaf(&self, context: usize, format: Format, descriptor: u64) -> Result<bool, u32> {
        assert!(descriptor >> 10 & 1 != 0, "access flag");
        let [six, seven] = [6, 7].map(|bit| descriptor >> bit & 1 != 0);
        match format {
            // S2AP: may be read, may be written.
            Format::Stage2(_) if six => Ok(seven),
            Format::Stage2(_) => Err(PERMISSION),
            Format::Stage1 => {
                let kind = descriptor >> 2 & 7;
                let types = self.register(None, MemoryTypes(context));
                let known = kind < 4 && [0x44, 0x04].contains(&(types >> (8 * kind) & 0xff));
                assert!(known, "memory type {kind} of {types:#x}");
                // NS, AP[1]: not only for who is privileged; AP[2]: only to be read.
                match descriptor >> 5 & 1 != 0 && six {
                    true => Ok(!seven),
                    false => Err(PERMISSION),
                }
            }
        }
    }
}
