//! The machine under the core: this board.

use core::fmt::Write;

use hv::arch::aarch64::{cache, el2::El2, firmware};
use hv::event::Event;
use hv::machine::{Cpu, Machine};
use hv::terminal::{Console, SerialPort};
use model::Pa;
use model::system::EndState;
use platforms::console::pl011::{Interrupts, Pl011};

use crate::interrupts::Gic;
use crate::{early, log, map, storage};

/// The board that the image runs on.
pub struct Board {
    /// Its interrupt controller.
    pub gic: Gic,
}

impl Machine for Board {
    type Cpu = El2;
    type Gic = Gic;

    #[inline]
    fn gic(&self) -> Gic {
        self.gic
    }

    fn load(&self, offset: u64, to: Pa, size: u64) {
        // SAFETY: the compiler placed every segment inside the payload and inside a RAM mapping of its partition; `map` maps both, the
        // first only for reading, and they do not overlap. Nothing of the partition runs while it is loaded.
        unsafe {
            core::ptr::copy_nonoverlapping(
                (map::payload() + offset) as *const u8,
                to.get() as *mut u8,
                size as usize,
            );
        }
        cache::clean(to.get(), size);
    }

    fn zero(&self, to: Pa, size: u64) {
        // SAFETY: as in `load`.
        unsafe { core::ptr::write_bytes(to.get() as *mut u8, 0, size as usize) };
        cache::clean(to.get(), size);
    }

    fn publish_code(&self) {
        cache::forget_translations();
        cache::forget_instructions();
    }

    fn console(&self) -> &dyn Console {
        match storage::TERMINAL.get() {
            Some(terminal) => terminal,
            // Not reached: the console is set before the first virtual CPU exists.
            None => early::stop(format_args!("no console")),
        }
    }

    fn record(&self, event: Event) {
        log::event(event);
    }

    fn end(&self, state: EndState) -> ! {
        drain();
        match state {
            EndState::PowerOff => {
                early::line(format_args!("all partitions have stopped: power off"));
                firmware::system_off()
            }
            EndState::Reset => {
                early::line(format_args!("all partitions have stopped: reset"));
                firmware::system_reset()
            }
            EndState::Halt => {
                early::line(format_args!("all partitions have stopped: halted"));
                El2::halt()
            }
        }
    }
}

/// Moves what is left to say to the UART, for at most a second or so.
fn drain() {
    let Some(console) = storage::TERMINAL.get() else {
        return;
    };
    let deadline = El2::now().wrapping_add(El2::frequency());
    loop {
        console.pump(El2::now());
        let empty = storage::RINGS.iter().all(hv::console::Ring::is_empty);
        if empty || El2::now() > deadline {
            break;
        }
        core::hint::spin_loop();
    }
    // An unfinished line is somebody else's.
    let _ = early::Early::new().write_str("\n");
}

/// The board's UART as the console uses it.
pub struct Serial(pub Pl011<'static>);

impl SerialPort for Serial {
    fn try_write(&mut self, byte: u8) -> bool {
        self.0.try_write(byte)
    }

    fn try_read(&mut self) -> Option<u8> {
        self.0.try_read()
    }

    fn interrupt_on_room(&mut self, on: bool) {
        let wanted = if on {
            Interrupts::RECEIVE | Interrupts::TRANSMIT
        } else {
            Interrupts::RECEIVE
        };
        self.0.enable(wanted);
    }

    fn acknowledge(&mut self) {
        self.0.clear(Interrupts::all());
    }
}
