//! Serial ports that firmware has left at work: whatever is written goes out at once.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use super::WIDTH;
use crate::bus::Device;

/// Which port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Arm PL011 (DDI 0183).
    Pl011,
    /// Cadence (UG1085).
    Cadence,
    /// Renesas SCIF, and HSCIF.
    Scif,
}

impl Kind {
    /// By a node's `compatible`.
    pub fn of(compatible: &str) -> Option<Self> {
        match compatible {
            "arm,pl011" | "arm,sbsa-uart" => Some(Self::Pl011),
            "cdns,uart-r1p8" | "cdns,uart-r1p12" | "xlnx,xuartps" => Some(Self::Cadence),
            "renesas,scif" | "renesas,hscif" => Some(Self::Scif),
            _ => None,
        }
    }

    /// Where characters go.
    const fn data(self) -> u64 {
        match self {
            Self::Pl011 => 0x00,
            Self::Cadence => 0x30,
            Self::Scif => 0x0c,
        }
    }

    /// A register that says that all is sent and nothing was received: its offset and value.
    const fn idle(self) -> (u64, u64) {
        match self {
            // UARTFR: TXFE, RXFE.
            Self::Pl011 => (0x18, 1 << 7 | 1 << 4),
            // Channel_sts: TXEMPTY, RXEMPTY.
            Self::Cadence => (0x2c, 1 << 3 | 1 << 1),
            // SCFSR: TDFE, TEND.
            Self::Scif => (0x10, 1 << 5 | 1 << 6),
        }
    }

    /// Widths of accesses, in bytes.
    const fn takes(self, offset: u64, size: usize) -> bool {
        match self {
            Self::Pl011 | Self::Cadence => size == 4 && offset.is_multiple_of(4),
            // Registers of 8 bits and of 16.
            Self::Scif => match offset {
                0x04 | 0x0c | 0x14 => size == 1,
                _ => size == 2 && offset.is_multiple_of(4),
            },
        }
    }
}

/// A port.
pub struct Uart {
    kind: Kind,
    sent: Rc<RefCell<Vec<u8>>>,
    kept: HashMap<u64, u64>,
}

impl Uart {
    /// A port whose characters come to `sent`.
    pub fn new(kind: Kind, sent: Rc<RefCell<Vec<u8>>>) -> Self {
        let kept = HashMap::new();
        Self { kind, sent, kept }
    }
}

impl Device for Uart {
    fn read(&mut self, _: usize, offset: u64, size: usize) -> Result<u64, &'static str> {
        if !self.kind.takes(offset, size) {
            return Err(WIDTH);
        }
        let (status, idle) = self.kind.idle();
        Ok(match offset {
            _ if offset == status => idle,
            _ => self.kept.get(&offset).copied().unwrap_or(0),
        })
    }

    fn write(
        &mut self,
        _: usize,
        offset: u64,
        size: usize,
        value: u64,
    ) -> Result<(), &'static str> {
        if !self.kind.takes(offset, size) {
            return Err(WIDTH);
        }
        if offset == self.kind.data() {
            self.sent.borrow_mut().push(value as u8);
        } else {
            self.kept.insert(offset, value);
        }
        Ok(())
    }
}
