//! The machine's 16550 (PC16550D datasheet), by I/O ports and without interrupts: those are the partitions' own. Text moves when a pCPU is in the
//! hypervisor.

use hv::console::Ring;
use hv::terminal::{Command, Console, SerialPort};
use x86_64::instructions::port::Port as IoPort;

use crate::report::report;
#[cfg(feature = "shared")]
use crate::shared::counters;
#[cfg(feature = "shared")]
use crate::trace;
use crate::{SYSTEM, cpu, log, storage};

/// Line status: a byte was received.
const RECEIVED: u8 = 1 << 0;
/// Line status: the transmit FIFO is empty.
const ROOM: u8 = 1 << 5;
/// Bytes that an empty transmit FIFO takes.
const FIFO: u8 = 16;
/// How often the line status is read before the port is given up: some 100 ms on a machine, where a read takes a microsecond.
const PATIENCE: u32 = 100_000;

/// The serial port.
pub struct Port {
    base: u16,
    /// Bytes that the FIFO takes before its status is to be read again.
    room: u8,
}

impl Port {
    /// The system's console.
    pub const fn of_system() -> Self {
        Self {
            base: SYSTEM.board.console,
            room: 0,
        }
    }

    /// 115,200 baud, 8 bits, no parity, FIFOs on and empty, interrupts off.
    pub fn init(&mut self) {
        const SETTINGS: [(u16, u8); 7] = [
            (1, 0),
            (3, 0x80),
            (0, 1),
            (1, 0),
            (3, 0x03),
            (2, 0x07),
            (4, 0x03),
        ];
        for (register, value) in SETTINGS {
            self.write(register, value);
        }
    }

    /// Writes a byte as soon as there is room, or drops it when there is none for long.
    pub fn write_polled(&mut self, byte: u8) {
        for _ in 0..PATIENCE {
            if self.try_write(byte) {
                return;
            }
            core::hint::spin_loop();
        }
    }

    fn read(&self, register: u16) -> u8 {
        // SAFETY: the board says that a 16550 has its ports here; reading its registers concerns no memory.
        unsafe { IoPort::new(self.base + register).read() }
    }

    fn write(&mut self, register: u16, value: u8) {
        // SAFETY: as in `read`.
        unsafe { IoPort::new(self.base + register).write(value) }
    }
}

impl SerialPort for Port {
    fn try_write(&mut self, byte: u8) -> bool {
        if self.room == 0 {
            if self.read(5) & ROOM == 0 {
                return false;
            }
            self.room = FIFO;
        }
        self.room -= 1;
        self.write(0, byte);
        true
    }

    fn try_read(&mut self) -> Option<u8> {
        (self.read(5) & RECEIVED != 0).then(|| self.read(0))
    }

    fn interrupt_on_room(&mut self, _on: bool) {}

    fn acknowledge(&mut self) {}
}

/// Moves waiting text to the serial port, as far as it takes it. What stays behind goes at a later exit. True when nothing does.
pub fn pump() -> bool {
    /// As many pieces as the rings hold, several times over.
    const PIECES: usize = 64;
    let Some(console) = storage::TERMINAL.get() else {
        return true;
    };
    for _ in 0..PIECES {
        if storage::RINGS.iter().all(Ring::is_empty) {
            return true;
        }
        if console.pump(cpu::now()).is_some() {
            return false;
        }
    }
    false
}

/// Does what a person has asked for at the console.
pub fn answer_command() {
    #[cfg(feature = "shared")]
    if counters::is_report_due() {
        report();
    }
    let command = storage::TERMINAL.get().and_then(Console::take_command);
    match command {
        #[cfg(feature = "shared")]
        Some(Command::Statistics) => {
            trace::freeze();
            counters::want_report();
        }
        #[cfg(not(feature = "shared"))]
        Some(Command::Statistics) => report(),
        #[cfg(feature = "trace")]
        Some(Command::Trace) => log::line(format_args!("{}", crate::trace::toggle())),
        Some(Command::Help) => log::line(format_args!(
            "Ctrl-] then: n next partition, 1 to 9 that partition, s statistics, ? this"
        )),
        Some(Command::Focus(partition)) => {
            let config = SYSTEM.partitions.get(usize::from(partition.get()));
            let name = config.map_or("?", |config| config.name);
            log::line(format_args!("input goes to {name}"));
        }
        // What the core may know and a PC does not.
        #[allow(unreachable_patterns, reason = "as the core's features are")]
        Some(_) => {}
        None => {}
    }
}
