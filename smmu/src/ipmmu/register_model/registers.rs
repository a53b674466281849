//! What reading and writing registers does.

use super::Model;

/// A register of an instance, with the context or micro-TLB that it belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Register {
    /// IMCTR.
    Control(usize),
    /// IMTTBCR.
    Shape(usize),
    /// IMTTLBR0.
    RootLow(usize),
    /// IMTTUBR0.
    RootHigh(usize),
    /// IMSTR.
    Status(usize),
    /// IMMAIR0.
    MemoryTypes(usize),
    /// IMELAR.
    AddressLow(usize),
    /// IMEUAR.
    AddressHigh(usize),
    /// IMUCTR.
    MicroTlb(usize),
    /// IMUASID.
    Asid(usize),
    /// IMSCTLR.
    Security,
    /// IMSAUXCTLR.
    Auxiliary,
}

use Register::*;

impl Model {
    pub(super) fn contexts(&self) -> usize {
        if self.behaviour.gen4 { 16 } else { 8 }
    }

    fn micro_tlbs(&self) -> usize {
        if self.behaviour.gen4 { 64 } else { 48 }
    }

    /// Takes an offset apart.
    fn decode(&self, offset: usize) -> Register {
        let micro_tlb = |number: usize, rest: usize| {
            assert!(number < self.micro_tlbs(), "micro-TLB {number}");
            match rest {
                0 => MicroTlb(number),
                8 => Asid(number),
                _ => panic!("no register at {offset:#x}"),
            }
        };
        let context = |number: usize, rest: usize| {
            assert!(number < self.contexts(), "context {number}");
            match rest {
                0x00 => Control(number),
                0x08 => Shape(number),
                0x10 => RootLow(number),
                0x14 => RootHigh(number),
                0x20 => Status(number),
                0x28 => MemoryTypes(number),
                0x30 => AddressLow(number),
                0x34 => AddressHigh(number),
                _ => panic!("no register at {offset:#x}"),
            }
        };
        let (page, within) = (offset / 0x1000, offset % 0x1000);
        match (self.behaviour.gen4, page) {
            (false, 0) | (true, 3) if (0x300..0x500).contains(&within) => {
                micro_tlb((within - 0x300) / 16, within % 16)
            }
            (false, 0) | (true, 3) if (0x600..0x800).contains(&within) => {
                micro_tlb(32 + (within - 0x600) / 16, within % 16)
            }
            (false, 0) | (true, 1) if within == 0x500 => Security,
            (false, 0) | (true, 1) if within == 0x504 => Auxiliary,
            (false, 0) if within < 0x200 => context(within / 0x40, within % 0x40),
            (true, 16..32) => {
                let number = page - 16;
                let base = if number < 8 {
                    number * 0x40
                } else {
                    0x800 + (number - 8) * 0x40
                };
                assert!((base..base + 0x40).contains(&within), "{offset:#x}");
                context(number, within - base)
            }
            _ => panic!("no register at {offset:#x}"),
        }
    }

    pub fn register(&self, instance: Option<usize>, register: Register) -> u32 {
        let value = self.registers.get(&(instance, register));
        value.copied().unwrap_or(0)
    }

    pub fn set_register(&mut self, instance: Option<usize>, register: Register, value: u32) {
        self.registers.insert((instance, register), value);
    }

    fn is_absent(&self, instance: Option<usize>, register: Register) -> bool {
        let absent = self.behaviour.absent;
        match (instance, register) {
            (Some(cache), MicroTlb(number) | Asid(number)) => absent == Some((cache, number)),
            _ => false,
        }
    }

    pub(super) fn read(&mut self, instance: Option<usize>, offset: usize) -> u32 {
        let register = self.decode(offset);
        if let (None, Control(context)) = (instance, register) {
            self.go_on_flushing(context);
        }
        self.register(instance, register)
    }

    fn go_on_flushing(&mut self, context: usize) {
        if self.behaviour.stuck {
            return;
        }
        let Some(left) = self.flushes.get_mut(&context) else {
            return;
        };
        *left = left.saturating_sub(1);
        if *left == 0 {
            self.flushes.remove(&context);
            self.walked.retain(|(one, _), _| *one != context);
            let control = self.register(None, Control(context));
            self.set_register(None, Control(context), control & !2);
        }
    }

    /// Micro-TLBs that are on and use this context.
    fn is_used(&self, context: usize) -> bool {
        (0..self.behaviour.caches).any(|cache| {
            (0..self.micro_tlbs()).any(|number| self.selected(cache, number) == Some(context))
        })
    }

    /// The context that a micro-TLB uses, if it is on.
    pub fn selected(&self, cache: usize, number: usize) -> Option<usize> {
        let value = self.register(Some(cache), MicroTlb(number));
        let most = if self.behaviour.gen4 { 31 } else { 15 };
        (value & 1 != 0).then_some((value >> 4 & most) as usize)
    }

    pub(super) fn write(&mut self, instance: Option<usize>, offset: usize, value: u32) {
        self.writes += 1;
        let register = self.decode(offset);
        if self.is_absent(instance, register) {
            return;
        }
        match (instance, register) {
            (_, Security) => {}
            (None, Auxiliary) => {
                let changes = value ^ self.register(None, Auxiliary);
                let live = (0..self.contexts()).filter(|one| {
                    self.register(None, Control(*one)) & 1 != 0
                        && self.is_used(*one)
                        && !self.is_empty(*one)
                });
                assert!(changes & 8 == 0 || live.count() == 0, "of tables in use");
            }
            (
                None,
                Shape(context) | RootLow(context) | RootHigh(context) | MemoryTypes(context),
            ) => {
                assert!(!self.is_used(context), "{register:?} of a context in use");
            }
            (None, Control(context)) => self.control(context, value),
            (Some(cache), Control(context)) => {
                assert!(value & !0b111 == 0, "main instance only: {value:#x}");
                assert!(
                    value & 1 != 0 || !self.is_used(context),
                    "context {context} is turned off in use"
                );
                if value & 2 != 0 {
                    self.cached
                        .retain(|(one, of, _), _| (*one, *of) != (cache, context));
                    self.micro_tlbs
                        .retain(|(one, ..), (of, _)| (*one, *of) != (cache, context));
                }
                return self.set_register(instance, register, value & !2);
            }
            (None, Status(context)) => {
                assert_eq!(value, 0, "IMSTR is cleared by writing 0");
                for register in [Status, AddressLow, AddressHigh] {
                    self.set_register(None, register(context), 0);
                }
                if let Some((cache, number, address)) = self.behaviour.storm {
                    self.access(cache, number, address, true);
                }
                return;
            }
            (Some(_), Asid(_)) => assert_eq!(value, 0, "ASID"),
            (Some(cache), MicroTlb(number)) => {
                if value & 2 != 0 {
                    self.micro_tlbs
                        .retain(|(one, of, _), _| (*one, *of) != (cache, number));
                }
                return self.set_register(instance, register, value & !2);
            }
            _ => panic!("write to {register:?} of {instance:?}"),
        }
        self.set_register(instance, register, value);
    }

    fn control(&mut self, context: usize, value: u32) {
        assert!(
            value & 1 != 0 || !self.is_used(context),
            "context {context} is turned off in use"
        );
        assert!(context != 0 || value == 0, "context 0 is reserved");
        if value & 2 != 0 {
            self.flushes.insert(context, self.behaviour.delay + 1);
        }
    }
}
