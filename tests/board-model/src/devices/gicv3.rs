//! A GICv3 (IHI 0069H): the distributor, and the redistributors of all CPUs.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use super::distributor::Lines;
use super::{NOTHING, WIDTH};
use crate::bus::Device;

const AFFINITY_ROUTING: u64 = 1 << 4;
const GROUPS_ON: u64 = 0b11;
/// Reads until a write is done.
const DELAY: u32 = 2;
/// Bytes of a redistributor's two frames.
const REDISTRIBUTOR: u64 = 0x2_0000;

struct Redistributor {
    affinity: u64,
    lines: Lines,
    awake: bool,
    /// Reads until the CPU interface has woken, and until a write is done.
    waking: u32,
    writing: u32,
    control: u64,
    kept: HashMap<u64, u64>,
}

struct State {
    groups: usize,
    control: u64,
    writing: u32,
    lines: Lines,
    routes: HashMap<u64, u64>,
    redistributors: Vec<Redistributor>,
    lpis: bool,
}

/// The distributor's frame, or a region of redistributors that begins with this one.
pub struct GicV3 {
    state: Rc<RefCell<State>>,
    first: Option<usize>,
}

/// The LPIs of all redistributors.
pub struct Lpis(Rc<RefCell<State>>);

impl Lpis {
    /// Addresses and sizes of the tables of all redistributors that take LPIs (12.11.23, 12.11.32).
    pub fn memory(&self) -> Vec<(u64, u64)> {
        let state = self.0.borrow();
        let on = state
            .redistributors
            .iter()
            .filter(|one| one.control & 1 != 0);
        let tables = |one: &Redistributor| {
            let register = |offset| one.kept.get(&offset).copied().unwrap_or(0);
            let (properties, pending) = (register(0x70), register(0x78));
            let ids = 1 << ((properties & 0x1f) + 1);
            [
                (properties & 0x000f_ffff_ffff_f000, ids - 8192),
                (pending & 0x000f_ffff_ffff_0000, ids / 8),
            ]
        };
        on.flat_map(tables).collect()
    }
}

/// The distributor with so many groups of 32 interrupts, one region with the redistributors of CPUs with these affinities (`MPIDR_EL1`), and their LPIs.
/// `lpis`: there is an ITS.
pub fn gicv3(affinities: &[u64], groups: usize, lpis: bool) -> (GicV3, GicV3, Lpis) {
    let redistributor = |affinity: &u64| Redistributor {
        affinity: *affinity,
        lines: Lines::new(1, true),
        awake: false,
        waking: 0,
        writing: 0,
        control: 0,
        kept: HashMap::new(),
    };
    let state = Rc::new(RefCell::new(State {
        groups,
        // As Linux or a boot loader leaves it.
        control: AFFINITY_ROUTING | 1 << 1,
        writing: 0,
        lines: Lines::new(groups, false),
        routes: HashMap::new(),
        redistributors: affinities.iter().map(redistributor).collect(),
        lpis,
    }));
    let frame = |first| GicV3 {
        state: state.clone(),
        first,
    };
    (frame(None), frame(Some(0)), Lpis(state.clone()))
}

/// One read nearer to the end; true while it is not reached.
fn waits(left: &mut u32) -> bool {
    let waiting = *left > 0;
    *left = left.saturating_sub(1);
    waiting
}

/// Private interrupts are not in the distributor once affinity routing is on (12.9).
fn is_private(offset: u64) -> bool {
    match offset {
        0x080..0x400 => offset % 0x80 < 4,
        0x400..0x420 | 0xc00..0xc08 => true,
        _ => false,
    }
}

impl State {
    fn read_distributor(&mut self, offset: u64, size: usize) -> Result<u64, &'static str> {
        match offset {
            0x0000 if size == 4 => Ok(self.control | u64::from(waits(&mut self.writing)) << 31),
            // TYPER: IDbits, SecurityExtn, LPIS, ITLinesNumber.
            0x0004 if size == 4 => {
                Ok(15 << 19 | u64::from(self.lpis) << 17 | 1 << 10 | (self.groups as u64 - 1))
            }
            0x0008 if size == 4 => Ok(0x0300_043b),
            0x6100..0x8000 if size == 8 && offset.is_multiple_of(8) => {
                Ok(self.routes.get(&offset).copied().unwrap_or(0))
            }
            _ if is_private(offset) => Err("private interrupts are at the redistributors"),
            0x0000..0x0010 | 0x6000..0x8000 => Err(WIDTH),
            _ => self.lines.read(offset, size),
        }
    }

    fn write_distributor(
        &mut self,
        offset: u64,
        size: usize,
        value: u64,
    ) -> Result<(), &'static str> {
        match offset {
            0x0000 if size == 4 => {
                let changes = value ^ self.control;
                // 12.9.4: UNPREDICTABLE.
                if changes & AFFINITY_ROUTING != 0 && self.control & GROUPS_ON != 0 {
                    return Err("affinity routing changes while a group is on");
                }
                if changes & AFFINITY_ROUTING != 0 && value & AFFINITY_ROUTING == 0 {
                    return Err("affinity routing is turned off");
                }
                self.control = value & (AFFINITY_ROUTING | GROUPS_ON);
                self.writing = DELAY;
            }
            0x6100..0x8000 if size == 8 && offset.is_multiple_of(8) => {
                let there = self.redistributors.iter().any(|one| one.affinity == value);
                if !there {
                    return Err("an interrupt goes to a CPU that is not there");
                }
                self.routes.insert(offset, value);
            }
            _ if is_private(offset) => return Err("private interrupts are at the redistributors"),
            0x0000..0x0010 | 0x6000..0x8000 => return Err(WIDTH),
            _ => {
                self.lines.write(offset, size, value)?;
                if (0x180..0x200).contains(&offset) {
                    self.writing = DELAY;
                }
            }
        }
        Ok(())
    }
}

impl Redistributor {
    /// TYPER: affinity, processor number, Last, PLPIS.
    fn kind(&self, number: usize, last: bool, lpis: bool) -> u64 {
        let affinity = self.affinity >> 8 & 0xff00_0000 | self.affinity & 0xff_ffff;
        affinity << 32 | (number as u64) << 8 | u64::from(last) << 4 | u64::from(lpis)
    }

    fn read(&mut self, offset: u64, size: usize, kind: u64) -> Result<u64, &'static str> {
        match offset {
            0x0000 if size == 4 => Ok(self.control | u64::from(waits(&mut self.writing)) << 3),
            0x0008 if size == 8 => Ok(kind),
            // WAKER: ProcessorSleep and ChildrenAsleep.
            0x0014 if size == 4 => match self.awake {
                true => Ok(u64::from(waits(&mut self.waking)) << 2),
                false => Ok(0b110),
            },
            0x0070 | 0x0078 if size == 8 => Ok(self.kept.get(&offset).copied().unwrap_or(0)),
            0x0000..0x0080 => Err(WIDTH),
            0x1_0000..0x2_0000 => self.lines.read(offset - 0x1_0000, size),
            _ => Err(NOTHING),
        }
    }

    fn write(&mut self, offset: u64, size: usize, value: u64) -> Result<(), &'static str> {
        match offset {
            0x0000 if size == 4 => self.control = value & 1,
            0x0014 if size == 4 => {
                self.waking = if self.awake { 0 } else { DELAY };
                self.awake = value & 2 == 0;
            }
            0x0070 | 0x0078 if size == 8 => {
                if self.control & 1 != 0 {
                    return Err("tables of LPIs change while LPIs are on");
                }
                self.kept.insert(offset, value);
            }
            0x0000..0x0080 => return Err(WIDTH),
            0x1_0000..0x2_0000 => {
                if !self.awake {
                    return Err("the redistributor sleeps");
                }
                self.lines.write(offset - 0x1_0000, size, value)?;
                self.writing = DELAY;
            }
            _ => return Err(NOTHING),
        }
        Ok(())
    }
}

impl GicV3 {
    /// The redistributor at an offset of the region, with its number and the offset in it.
    fn place(&self, offset: u64) -> Option<(usize, u64)> {
        let number = self.first? + (offset / REDISTRIBUTOR) as usize;
        Some((number, offset % REDISTRIBUTOR))
    }
}

impl Device for GicV3 {
    fn read(&mut self, _: usize, offset: u64, size: usize) -> Result<u64, &'static str> {
        let mut state = self.state.borrow_mut();
        let Some((number, within)) = self.place(offset) else {
            return state.read_distributor(offset, size);
        };
        let (count, lpis) = (state.redistributors.len(), state.lpis);
        let one = state.redistributors.get_mut(number).ok_or(NOTHING)?;
        let kind = one.kind(number, number + 1 == count, lpis);
        one.read(within, size, kind)
    }

    fn write(
        &mut self,
        _: usize,
        offset: u64,
        size: usize,
        value: u64,
    ) -> Result<(), &'static str> {
        let mut state = self.state.borrow_mut();
        let Some((number, within)) = self.place(offset) else {
            return state.write_distributor(offset, size, value);
        };
        let one = state.redistributors.get_mut(number).ok_or(NOTHING)?;
        one.write(within, size, value)
    }
}
