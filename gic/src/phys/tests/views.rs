//! A GICv2 or GICv3 with one CPU and with one or two Security states, as Non-secure software sees it (IHI 0048B 3.7 and 4.3, IHI 0069H 4.8.5 and 12.9).
//! What an access may not do in the architecture fails the test.

use super::played::play;
use super::{sysreg, *};
use std::cell::RefCell;
use std::rc::Rc;

/// Interrupts that there are.
pub(super) const INTERRUPTS: u32 = 96;
/// An SPI that Secure firmware keeps for itself, and one that it leaves enabled, pending and active.
pub(super) const SECURE: IntId = IntId::new(40);
pub(super) const LEFT: IntId = IntId::new(41);
/// The same among the extended SPIs of a GICv3.
pub(super) const SECURE_EXTENDED: IntId = IntId::new(4136);
pub(super) const LEFT_EXTENDED: IntId = IntId::new(4137);
/// Extended SPIs that there are.
pub(super) const EXTENDED: u32 = 64;
/// SGIs from here on are Secure.
pub(super) const FIRST_SECURE_SGI: u32 = 8;

/// Where the first extended SPI is among the lines: behind all numbers that ordinary ones can have.
const FIRST_EXTENDED: u32 = 1024;

const DISTRIBUTOR: usize = 0x1000_0000_0000;
const CPU: usize = 0x2000_0000_0000;
const CONTROL: usize = 0x3000_0000_0000;

/// One interrupt, as Secure software sees it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Line {
    pub group1: bool,
    pub priority: u8,
    pub enabled: bool,
    pub pending: bool,
    pub active: bool,
    pub edge: bool,
    /// `ITARGETSR` or `IROUTER`.
    pub target: u64,
}

/// The controller.
pub(super) struct Model {
    version: u8,
    /// Two Security states: `GICD_TYPER.SecurityExtn`, `GICD_CTLR.DS` = 0.
    pub secure: bool,
    /// The extended SPIs come after all others.
    pub lines: Vec<Line>,
    /// `GICD_CTLR` without what is Secure.
    control: u64,
    /// `GICC_CTLR`, `GICC_PMR` as Secure software sees it.
    interface: u64,
    mask: u8,
    asleep: bool,
    /// What has its priority running.
    pub running: Vec<u32>,
}

pub(super) type Shared = Rc<RefCell<Model>>;

/// A fresh controller as Secure firmware and what ran before leave it, and the driver's handle.
pub(super) fn machine<G>(
    version: u8,
    secure: bool,
    handle: impl FnOnce([usize; 3]) -> G,
) -> (G, Shared) {
    let extended = if version == 3 { EXTENDED } else { 0 };
    let mut lines = vec![Line::default(); (FIRST_EXTENDED + extended) as usize];
    for (place, line) in lines.iter_mut().enumerate() {
        let intid = intid(place);
        let kept = [SECURE, SECURE_EXTENDED].contains(&intid)
            || (FIRST_SECURE_SGI..16).contains(&intid.get());
        line.group1 = secure && !kept;
        (line.enabled, line.priority) = (secure && kept, if secure && kept { 0x10 } else { 0 });
    }
    for left in [LEFT, LEFT_EXTENDED] {
        if let Some(line) = lines.get_mut(place(left)) {
            *line = Line {
                group1: secure,
                enabled: true,
                pending: true,
                active: true,
                ..Line::default()
            };
        }
    }
    let model = Rc::new(RefCell::new(Model {
        version,
        secure,
        lines,
        // Affinity routing and group 1 have been in use on a GICv3.
        control: if version == 3 { 0x12 } else { 1 },
        interface: 0,
        mask: 0,
        asleep: !secure,
        running: Vec::new(),
    }));
    for (base, size, frame) in [
        (DISTRIBUTOR, 0x1_0000, Model::distributor as Access),
        (
            CPU,
            0x2_0000,
            if version == 3 {
                Model::redistributor
            } else {
                Model::cpu_interface
            },
        ),
        (CONTROL, 0x1000, |_: &mut Model, _, _, _| 0),
    ] {
        let model = Rc::clone(&model);
        play(
            base,
            size,
            Box::new(move |offset, bytes, written| {
                frame(&mut model.borrow_mut(), offset, bytes, written)
            }),
        );
    }
    (handle([DISTRIBUTOR, CPU, CONTROL]), model)
}

type Access = fn(&mut Model, usize, usize, Option<u64>) -> u64;

/// Answers a read with a value, a write by storing it.
fn stored(place: &mut u64, written: Option<u64>) -> u64 {
    written.map_or(*place, |value| {
        *place = value;
        0
    })
}

/// Where an interrupt is among the lines, and back.
fn place(intid: IntId) -> usize {
    let extended = intid.extended_spi().map(|number| FIRST_EXTENDED + number);
    extended.unwrap_or(intid.get()) as usize
}

fn intid(place: usize) -> IntId {
    let extended = (place as u32).checked_sub(FIRST_EXTENDED);
    let extended = extended.map(|number| number + IntId::FIRST_EXTENDED_SPI);
    IntId::new(extended.unwrap_or(place as u32))
}

impl Model {
    pub fn line(&mut self, intid: IntId) -> &mut Line {
        &mut self.lines[place(intid)]
    }

    /// A priority that Non-secure software writes, as Secure software sees it: the lower half, in steps of 16.
    const fn shifted(priority: u8) -> u8 {
        priority >> 1 | 0x80
    }

    fn is_hidden(&self, number: usize) -> bool {
        let nowhere = (INTERRUPTS..FIRST_EXTENDED).contains(&(number as u32));
        self.lines
            .get(number)
            .is_none_or(|line| nowhere || self.secure && !line.group1)
    }

    /// The register arrays, of which the first 32 interrupts may be in another frame.
    fn arrays(&mut self, offset: usize, bytes: usize, written: Option<u64>) -> u64 {
        let first = (offset & 0x7f) * 8;
        match offset {
            0x80..0x400 => {
                assert_eq!(bytes, 4, "{offset:#x}");
                self.bits((offset - 0x80) / 0x80, first, written)
            }
            0x400..0x800 => self.each_byte(offset - 0x400, bytes, written, Self::priority),
            0x800..0xc00 => self.each_byte(offset - 0x800, bytes, written, Self::target),
            0xc00..0xd00 => self.triggers((offset - 0xc00) * 4, written),
            _ => 0,
        }
    }

    /// The arrays of the extended SPIs.
    fn extended(&mut self, offset: usize, bytes: usize, written: Option<u64>) -> u64 {
        let base = FIRST_EXTENDED as usize;
        match offset {
            0x1000..0x1e00 => {
                assert_eq!(bytes, 4, "{offset:#x}");
                let first = base + offset % 0x80 * 8;
                self.bits((offset - 0x1000) / 0x200, first, written)
            }
            0x2000..0x2400 => {
                self.each_byte(base + offset - 0x2000, bytes, written, Self::priority)
            }
            0x3000..0x3100 => self.triggers(base + (offset - 0x3000) * 4, written),
            _ => 0,
        }
    }

    /// 32 interrupts in one of the arrays that have a bit for each, in the order of their offsets.
    fn bits(&mut self, array: usize, first: usize, written: Option<u64>) -> u64 {
        let bits: fn(&mut Line) -> &mut bool = match array {
            0 => return self.groups(first, written),
            1 | 2 => |line| &mut line.enabled,
            3 | 4 => |line| &mut line.pending,
            _ => |line| &mut line.active,
        };
        let clears = array.is_multiple_of(2);
        (0..32).fold(0, |read, bit| {
            if self.is_hidden(first + bit) {
                return read;
            }
            let state = bits(&mut self.lines[first + bit]);
            if written.is_some_and(|value| value >> bit & 1 != 0) {
                *state = !clears;
            }
            read | u64::from(*state) << bit
        })
    }

    fn groups(&mut self, first: usize, written: Option<u64>) -> u64 {
        for bit in 0..32 {
            if let (false, Some(value), Some(line)) =
                (self.secure, written, self.lines.get_mut(first + bit))
            {
                line.group1 = value >> bit & 1 != 0;
            }
        }
        0
    }

    fn each_byte(
        &mut self,
        first: usize,
        bytes: usize,
        written: Option<u64>,
        byte: fn(&mut Self, usize, Option<u8>) -> u8,
    ) -> u64 {
        (0..bytes).fold(0, |read, index| {
            if self.is_hidden(first + index) {
                return read;
            }
            let value = byte(
                self,
                first + index,
                written.map(|value| (value >> (index * 8)) as u8),
            );
            read | u64::from(value) << (index * 8)
        })
    }

    /// 32 priorities, of which Non-secure software has 16.
    fn priority(&mut self, number: usize, written: Option<u8>) -> u8 {
        let (secure, line) = (self.secure, &mut self.lines[number]);
        if let Some(value) = written {
            line.priority = if secure { Self::shifted(value) } else { value } & 0xf8;
        }
        if secure {
            line.priority << 1
        } else {
            line.priority
        }
    }

    fn target(&mut self, number: usize, written: Option<u8>) -> u8 {
        assert_eq!(
            self.version, 2,
            "affinity routing: there are no target registers"
        );
        if number < 32 {
            return 1;
        }
        stored(&mut self.lines[number].target, written.map(u64::from)) as u8
    }

    fn triggers(&mut self, first: usize, written: Option<u64>) -> u64 {
        (0..16).fold(0, |read, index| {
            let number = first + index;
            if self.is_hidden(number) {
                return read;
            }
            let line = &mut self.lines[number];
            if let Some(value) = written {
                let edge = value >> (index * 2 + 1) & 1 != 0;
                assert!(edge == line.edge || !line.enabled, "{number} is enabled");
                line.edge = edge;
            }
            read | u64::from(line.edge) << (index * 2 + 1)
        })
    }

    fn distributor(&mut self, offset: usize, bytes: usize, written: Option<u64>) -> u64 {
        match offset {
            0 => self.control(written),
            4 => {
                let extended =
                    u64::from(self.version == 3) << 8 | u64::from(EXTENDED / 32 - 1) << 27;
                u64::from(self.secure) << 10 | extended | 2
            }
            0xf00 => {
                let sgi = written.expect("write-only") as usize & 0xf;
                // Without the right to Secure SGIs a Non-secure write sends those of group 1 only.
                self.lines[sgi].pending |= !self.is_hidden(sgi);
                0
            }
            0xf10..0xf20 => 0,
            0x1000..0x6000 => self.extended(offset, bytes, written),
            0x6000.. => {
                assert_eq!((self.version, bytes), (3, 8), "{offset:#x}");
                let number = match offset.checked_sub(0x8000) {
                    Some(extended) => FIRST_EXTENDED as usize + extended / 8,
                    None => (offset - 0x6000) / 8,
                };
                if self.is_hidden(number) {
                    return 0;
                }
                stored(&mut self.lines[number].target, written)
            }
            _ => {
                let first = match offset {
                    0..0x400 => offset % 0x80 * 8,
                    0x400..0xc00 => offset % 0x400,
                    _ => offset % 0x400 * 4,
                };
                // With affinity routing those are the redistributor's (12.9).
                assert!(self.version == 2 || first >= 32, "{offset:#x}");
                self.arrays(offset, bytes, written)
            }
        }
    }

    /// `GICD_CTLR`: affinity routing is turned on while the groups are off, and never off.
    fn control(&mut self, written: Option<u64>) -> u64 {
        if let (Some(value), 3) = (written, self.version) {
            let (before, after) = (self.control & 0x10, value & 0x10);
            assert!(before <= after, "affinity routing is turned off");
            assert!(
                before == after || self.control & 3 == 0,
                "affinity routing changes while groups are on"
            );
        }
        stored(&mut self.control, written)
    }

    fn redistributor(&mut self, offset: usize, bytes: usize, written: Option<u64>) -> u64 {
        match offset {
            8 => 1 << 4,
            // Secure where there are two states, and then firmware has done this (12.11.42).
            0x14 if self.secure => 0,
            0x14 => {
                self.asleep = written.map_or(self.asleep, |value| value & 2 != 0);
                if self.asleep { 6 } else { 0 }
            }
            0x1_0000.. => self.arrays(offset - 0x1_0000, bytes, written),
            _ => 0,
        }
    }

    /// `GICC`.
    fn cpu_interface(&mut self, offset: usize, _: usize, written: Option<u64>) -> u64 {
        match (offset, written) {
            (0, _) => return stored(&mut self.interface, written),
            (4, Some(value)) => {
                self.mask = if self.secure {
                    Self::shifted(value as u8)
                } else {
                    value as u8
                }
            }
            (0xc, None) => return self.acknowledge().into(),
            (0x10, Some(value)) => assert_eq!(self.running.pop(), Some(value as u32)),
            (0x1000, Some(value)) => self.lines[value as usize].active = false,
            _ => {}
        }
        0
    }

    /// What the CPU acknowledges: the most urgent interrupt that its group and priority let through.
    pub fn acknowledge(&mut self) -> u32 {
        let (enabled, mask) = match self.version {
            3 => (
                self.control & 2 != 0 && sysreg::icc_igrpen1::read() & 1 != 0,
                sysreg::icc_pmr::read() as u8,
            ),
            _ => (self.control & 1 != 0 && self.interface & 1 != 0, self.mask),
        };
        // Bit 0 or 1 of the control registers is group 1 in the Non-secure view, and of a GICv2 with one state it is group 0.
        let group1 = self.secure || self.version == 3;
        let limit = self
            .running
            .iter()
            .map(|&intid| self.lines[intid as usize].priority)
            .fold(mask, u8::min);
        let ready = |line: &Line| {
            line.enabled
                && line.pending
                && !line.active
                && line.group1 == group1
                && line.priority < limit
        };
        let best = (0..)
            .zip(&mut self.lines)
            .filter(|(_, line)| enabled && ready(line))
            .min_by_key(|(_, line)| line.priority);
        best.map_or(1023, |(place, line)| {
            (line.pending, line.active) = (false, true);
            self.running.push(place);
            intid(place as usize).get()
        })
    }
}
