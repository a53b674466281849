//! The registers of the virtual ITS (IHI 0069H 12.19), and the partition's view of what is behind them.

use super::{COLLECTIONS, EVENT_BITS, Its};
use crate::its_command::COMMAND_BYTES;
use crate::virt::distributor::IIDR;
use crate::virt::registers::identification;
use crate::virt::{Access, Version, Vgic, Width};

/// Offsets in the control frame.
mod offset {
    /// `IIDR` is its upper half.
    pub(super) const CTLR: u32 = 0x0000;
    pub(super) const TYPER: u32 = 0x0008;
    pub(super) const CBASER: u32 = 0x0080;
    pub(super) const CWRITER: u32 = 0x0088;
    pub(super) const CREADR: u32 = 0x0090;
    pub(super) const BASER0: u32 = 0x0100;
    pub(super) const BASER1: u32 = 0x0108;
    pub(super) const BASER7: u32 = 0x0138;
    pub(super) const IDENTIFICATION: u32 = 0xffd0;
    /// The translation frame: only devices write there.
    pub(super) const TRANSLATER: u32 = 0x1_0040;
    pub(super) const END: u32 = 0x2_0000;
}

/// Bytes of the two frames.
pub const FRAME_BYTES: u64 = offset::END as u64;

/// `GITS_CTLR.Quiescent`.
const QUIESCENT: u64 = 1 << 31;
/// `GITS_CREADR.Stalled` and `GITS_CWRITER.Retry`.
const STALLED: u64 = 1;
/// The place of a command in the queue, in `GITS_CREADR` and `GITS_CWRITER`.
const PLACE: u64 = 0xf_ffe0;
/// What is kept of `GITS_CBASER`: all but the reserved bits.
const CBASER_KEPT: u64 = 0xb8ef_ffff_ffff_fcff;
/// What is kept of `GITS_BASER0`; the rest says that it is a device table (type 1) with entries of 8 bytes.
const BASER_KEPT: u64 = 0xf8e0_ffff_ffff_ffff;
const BASER_FIXED: u64 = 1 << 56 | 7 << 48;

/// The accessed part of a 64-bit register: all of it, or a half.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::virt) struct Part {
    shift: u32,
    mask: u64,
}

impl Part {
    /// The part that `width` bytes at `at` touch.
    pub(in crate::virt) const fn new(at: u32, width: Width) -> Self {
        match width {
            Width::Double => Self {
                shift: 0,
                mask: u64::MAX,
            },
            _ => Self {
                shift: at % 8 * 8,
                mask: 0xffff_ffff,
            },
        }
    }

    /// The part's value.
    pub(in crate::virt) const fn of(self, register: u64) -> u64 {
        register >> self.shift & self.mask
    }

    /// The register with the part replaced.
    pub(in crate::virt) const fn put(self, register: u64, value: u64) -> u64 {
        register & !(self.mask << self.shift) | (value & self.mask) << self.shift
    }
}

impl Its {
    /// Bytes of the command queue; 0 while there is none.
    pub(super) const fn queue_bytes(&self) -> u64 {
        if self.queue >> 63 == 0 {
            0
        } else {
            ((self.queue & 0xff) + 1) * 4096
        }
    }

    /// Where the next command lies.
    pub(super) const fn next_command(&self) -> u64 {
        (self.queue & 0xf_ffff_ffff_f000) + self.read
    }

    pub(super) fn advance(&mut self) {
        let next = self.read + COMMAND_BYTES;
        self.read = if next < self.queue_bytes() { next } else { 0 };
        self.progress = 0;
    }

    /// True when a command can be executed.
    pub(super) const fn has_commands(&self) -> bool {
        self.enabled && !self.stalled && self.read != self.write && self.queue_bytes() != 0
    }

    /// Physical LPIs only, DeviceIDs as wide as the partition needs them, collections held here, targets named by processor number
    /// (12.19.9).
    fn kind(&self) -> u64 {
        let ranges = self.config.map_or(&[][..], |config| config.devices);
        let last = ranges.iter().map(|range| range.last()).max().unwrap_or(0);
        let device_bits = u64::from((32 - last.leading_zeros()).max(1));
        1 | 7 << 4
            | u64::from(EVENT_BITS - 1) << 8
            | (device_bits - 1) << 13
            | u64::from(COLLECTIONS) << 24
    }

    fn load(&self, register: u32) -> Option<u64> {
        Some(match register {
            offset::CTLR => {
                let control = u64::from(self.enabled) | if self.enabled { 0 } else { QUIESCENT };
                control | u64::from(IIDR) << 32
            }
            offset::TYPER => self.kind(),
            offset::CBASER => self.queue,
            offset::CWRITER => self.write,
            offset::CREADR => self.read | if self.stalled { STALLED } else { 0 },
            offset::BASER0 => self.table | BASER_FIXED,
            offset::BASER1..=offset::BASER7 => 0,
            offset::IDENTIFICATION..0x1_0000 => {
                let word = |at| u64::from(identification(Version::V3, at));
                let at = register - offset::IDENTIFICATION;
                word(at) | word(at + 4) << 32
            }
            _ => return None,
        })
    }

    fn store(&mut self, register: u32, part: Part, value: u64) -> Option<()> {
        match register {
            // IIDR cannot be written.
            offset::CTLR => self.enabled = part.put(self.enabled.into(), value) & 1 != 0,
            // While the ITS is enabled a write is UNPREDICTABLE (12.19.2): here it has no effect.
            offset::CBASER if !self.enabled => {
                self.queue = part.put(self.queue, value) & CBASER_KEPT;
                (self.read, self.write) = (0, 0);
                self.stalled = false;
                self.abandon();
            }
            offset::CWRITER => {
                let place = part.put(self.write, value) & PLACE;
                if place < self.queue_bytes() {
                    self.write = place;
                }
                if part.put(0, value) & STALLED != 0 {
                    self.stalled = false;
                }
            }
            offset::BASER0 if !self.enabled => {
                self.table = part.put(self.table, value) & BASER_KEPT;
            }
            // From the CPU it names no device.
            offset::TRANSLATER => {}
            _ => {
                self.load(register)?;
            }
        }
        Some(())
    }
}

/// An access that the ITS has a register for: where the register begins, and which part of it is meant.
const fn decode(offset: u32, width: Width) -> Option<(u32, Part)> {
    let allowed = match width {
        Width::Word => true,
        // CTLR, IIDR and the identification registers are words.
        Width::Double => matches!(offset, offset::TYPER..offset::IDENTIFICATION),
        Width::Byte | Width::Half => false,
    };
    if !allowed || !offset.is_multiple_of(width.bytes()) || offset >= offset::END {
        return None;
    }
    // The one 32-bit register at an odd doubleword half begins where it is.
    if offset == offset::TRANSLATER {
        return Some((offset, Part::new(0, width)));
    }
    Some((offset & !7, Part::new(offset, width)))
}

impl Vgic {
    /// A guest's read of an ITS register.
    pub fn read_its(&self, offset: u32, width: Width) -> Access<u64> {
        decode(offset, width)
            .and_then(|(register, part)| Some(part.of(self.its.load(register)?)))
            .map_or(Access::Unknown, Access::Done)
    }

    /// A guest's write of an ITS register. [`run_commands`](Self::run_commands) should follow.
    pub fn write_its(&mut self, offset: u32, width: Width, value: u64) -> Access<()> {
        decode(offset, width)
            .and_then(|(register, part)| self.its.store(register, part, value))
            .map_or(Access::Unknown, Access::Done)
    }
}
