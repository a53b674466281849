//! A GICv2 with virtualization (IHI 0048B): the GIC-400 of a board.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use super::distributor::Lines;
use super::{NOTHING, WIDTH};
use crate::bus::Device;

/// List registers of a GIC-400 (DDI 0471B).
const LIST_REGISTERS: u64 = 4;
/// Most groups of 32 interrupts of a GIC-400: 480 shared ones and the private ones (DDI 0471B).
const GROUPS: usize = 16;

struct State {
    cpus: usize,
    groups: usize,
    control: u64,
    private: Vec<Lines>,
    shared: Lines,
    targets: HashMap<u64, u8>,
    /// GICC and GICH registers that keep their value, by CPU.
    interfaces: HashMap<(usize, u64), u64>,
    virtuals: HashMap<(usize, u64), u64>,
}

/// One frame of the controller.
pub struct GicV2 {
    state: Rc<RefCell<State>>,
    frame: Frame,
    /// Each page of 4 KiB shows up 16 times in 64 KiB (ARM DDI 0471B, 3.2; boards with 64 KiB pages need it).
    aliased: bool,
}

#[derive(Clone, Copy)]
enum Frame {
    Distributor,
    Cpu,
    Control,
}

/// Distributor, CPU interface and virtual interface control for so many CPUs, at most 8. `aliased`: the frames are 64 KiB apart and filled with
/// copies of their pages.
pub fn gicv2(cpus: usize, aliased: bool) -> [GicV2; 3] {
    let groups = GROUPS;
    let state = Rc::new(RefCell::new(State {
        cpus,
        groups,
        control: 0,
        private: (0..cpus).map(|_| Lines::new(1, true)).collect(),
        shared: Lines::new(groups, false),
        targets: HashMap::new(),
        // Firmware has left a priority running.
        interfaces: (0..cpus).map(|cpu| ((cpu, 0xd0), 1 << 4)).collect(),
        virtuals: HashMap::new(),
    }));
    [Frame::Distributor, Frame::Cpu, Frame::Control].map(|frame| GicV2 {
        state: state.clone(),
        frame,
        aliased: aliased && !matches!(frame, Frame::Distributor),
    })
}

impl GicV2 {
    /// The offset in the manual.
    fn within(&self, offset: u64) -> u64 {
        match (self.aliased, self.frame) {
            (false, _) => offset,
            (true, Frame::Cpu) => offset >> 16 << 12 | offset & 0xfff,
            (true, _) => offset & 0xfff,
        }
    }
}

/// Offsets up to here in each array belong to private interrupts.
fn is_private(offset: u64) -> bool {
    match offset {
        0x080..0x400 => offset % 0x80 < 4,
        0x400..0x420 | 0xc00..0xc08 => true,
        _ => false,
    }
}

impl State {
    fn read(
        &self,
        frame: Frame,
        cpu: usize,
        offset: u64,
        size: usize,
    ) -> Result<u64, &'static str> {
        let word = if size == 4 && offset.is_multiple_of(4) {
            Ok(())
        } else {
            Err(WIDTH)
        };
        match (frame, offset) {
            (Frame::Distributor, 0x000) => word.map(|()| self.control),
            // TYPER: SecurityExtn, CPUNumber, ITLinesNumber.
            (Frame::Distributor, 0x004) => {
                word.map(|()| 1 << 10 | (self.cpus as u64 - 1) << 5 | (self.groups as u64 - 1))
            }
            // IIDR of a GIC-400.
            (Frame::Distributor, 0x008) => word.map(|()| 0x0200_143b),
            // The first eight words are the reader's own mask.
            (Frame::Distributor, 0x800..0x820) => {
                word.map(|()| u32::from_ne_bytes([1 << cpu; 4]).into())
            }
            (Frame::Distributor, 0x820..0xbfc) => {
                let one = |at: u64| self.targets.get(&(offset + at)).copied().unwrap_or(0);
                Ok((0..size as u64).fold(0, |all, at| all | u64::from(one(at)) << (8 * at)))
            }
            (Frame::Distributor, _) if is_private(offset) => self.private[cpu].read(offset, size),
            (Frame::Distributor, _) => self.shared.read(offset, size),
            (Frame::Cpu, 0x0c) => word.map(|()| 1023),
            (Frame::Cpu, 0xfc) => word.map(|()| 0x0202_143b),
            (Frame::Cpu, 0x00 | 0x04 | 0x08 | 0xd0) => {
                word.map(|()| kept(&self.interfaces, cpu, offset))
            }
            (Frame::Control, 0x04) => word.map(|()| 0x9000_0000 | (LIST_REGISTERS - 1)),
            (Frame::Control, 0x30) => {
                let used =
                    |index: &u64| kept(&self.virtuals, cpu, 0x100 + 4 * index) >> 28 & 3 != 0;
                let empty = (0..LIST_REGISTERS).filter(|index| !used(index));
                word.map(|()| empty.fold(0, |all, index| all | 1 << index))
            }
            (Frame::Control, 0x00 | 0x08 | 0xf0 | 0x100..0x110) => {
                word.map(|()| kept(&self.virtuals, cpu, offset))
            }
            _ => Err(NOTHING),
        }
    }

    fn write(
        &mut self,
        frame: Frame,
        cpu: usize,
        offset: u64,
        size: usize,
        value: u64,
    ) -> Result<(), &'static str> {
        if size != 4 && !matches!((frame, offset), (Frame::Distributor, 0x400..0xbfc)) {
            return Err(WIDTH);
        }
        match (frame, offset) {
            (Frame::Distributor, 0x000) => self.control = value & 1,
            (Frame::Distributor, 0x800..0x820) => {}
            (Frame::Distributor, 0x820..0xbfc) => {
                let present = (1u32 << self.cpus) as u64 - 1;
                for at in 0..size as u64 {
                    let mask = value >> (8 * at) & 0xff;
                    if mask & !present != 0 {
                        return Err("an interrupt goes to a CPU that is not there");
                    }
                    self.targets.insert(offset + at, mask as u8);
                }
            }
            // SGIR, CPENDSGIR.
            (Frame::Distributor, 0xf00 | 0xf10..0xf20) => {}
            (Frame::Distributor, _) if is_private(offset) => {
                self.private[cpu].write(offset, size, value)?;
            }
            (Frame::Distributor, _) => self.shared.write(offset, size, value)?,
            // EOIR, DIR.
            (Frame::Cpu, 0x10 | 0x1000) => {}
            (Frame::Cpu, 0x00 | 0x04 | 0x08 | 0xd0) => {
                self.interfaces.insert((cpu, offset), value);
            }
            (Frame::Control, 0x00 | 0x08 | 0xf0 | 0x100..0x110) => {
                self.virtuals.insert((cpu, offset), value);
            }
            _ => return Err(NOTHING),
        }
        Ok(())
    }
}

fn kept(registers: &HashMap<(usize, u64), u64>, cpu: usize, offset: u64) -> u64 {
    registers.get(&(cpu, offset)).copied().unwrap_or(0)
}

impl Device for GicV2 {
    fn read(&mut self, cpu: usize, offset: u64, size: usize) -> Result<u64, &'static str> {
        let offset = self.within(offset);
        self.state.borrow().read(self.frame, cpu, offset, size)
    }

    fn write(
        &mut self,
        cpu: usize,
        offset: u64,
        size: usize,
        value: u64,
    ) -> Result<(), &'static str> {
        let offset = self.within(offset);
        self.state
            .borrow_mut()
            .write(self.frame, cpu, offset, size, value)
    }
}
