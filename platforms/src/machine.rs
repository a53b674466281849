//! The machine under the core: this board.

use core::fmt::Write;

use hv::arch::aarch64::{cache, copy, el2::El2, firmware};
use hv::event::Event;
use hv::machine::{Cpu, Machine};
use hv::terminal::{Console, SerialPort};
use model::Pa;
use model::board::ConsoleKind;
use model::system::EndState;
use platforms::console::pl011::{Interrupts, Pl011};

use crate::interrupts::Gic;
use crate::{SYSTEM, early, log, map, storage};

/// The board that the image runs on.
pub struct Board {
    /// Its interrupt controller.
    pub gic: Gic,
}

#[cfg(not(feature = "smmuv3"))]
impl hv::machine::Dma for Board {}

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
        unsafe { copy::copy(map::payload() + offset, to.get(), size) };
        cache::clean(to.get(), size);
    }

    #[cfg(feature = "its")]
    fn read(&self, from: Pa) -> u64 {
        // A guest with its caches off has written past ours, one with caches on perhaps not yet to memory.
        cache::clean(from.get(), 8);
        // SAFETY: the caller's address is in a partition's RAM, which `map` maps, and a multiple of 8; any bits are a number. The guest may
        // write at the same time: the load is volatile and single.
        unsafe { (from.get() as *const u64).read_volatile() }
    }

    fn zero(&self, to: Pa, size: u64) {
        // SAFETY: as in `load`; or the range is a channel's, which `map` maps and which is zeroed before any partition runs.
        unsafe { copy::zero(to.get(), size) };
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
        let say = |text| {
            if !console_is_a_partitions() {
                early::line(format_args!("end of the system: {text}"));
            }
        };
        match state {
            EndState::PowerOff => {
                say("power off");
                firmware::system_off()
            }
            EndState::Reset => {
                say("reset");
                firmware::system_reset()
            }
            EndState::Halt => {
                say("halted");
                firmware::halt()
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
    if !console_is_a_partitions() {
        // An unfinished line is somebody else's.
        let _ = early::Early::new().write_str("\n");
    }
}

/// The board's UART as the console uses it; none when the system gives it to a partition: then nobody hears what is said after boot.
pub struct Serial(Option<Pl011<'static>>);

impl Serial {
    /// The system's UART, unless a partition owns it.
    pub fn of_system() -> Self {
        if console_is_a_partitions() {
            return Self(None);
        }
        match SYSTEM.board.console.kind {
            // SAFETY: the device tree says that a PL011 is there and `map` maps it. `early` has driven it so far, and does so again only when
            // this one is not used any more.
            ConsoleKind::Pl011 => Self(Some(unsafe {
                Pl011::new(SYSTEM.board.console.base.get() as usize)
            })),
        }
    }
}

/// True when a partition has the console's registers.
pub fn console_is_a_partitions() -> bool {
    let console = SYSTEM.board.console.base;
    SYSTEM
        .partitions
        .iter()
        .flat_map(|partition| partition.memory)
        .filter_map(|mapping| Some((console.offset_from(mapping.pa)?, mapping.size)))
        .any(|(offset, size)| offset < size)
}

impl SerialPort for Serial {
    fn try_write(&mut self, byte: u8) -> bool {
        self.0.as_mut().is_none_or(|uart| uart.try_write(byte))
    }

    fn try_read(&mut self) -> Option<u8> {
        self.0.as_mut()?.try_read()
    }

    fn interrupt_on_room(&mut self, on: bool) {
        let wanted = if on {
            Interrupts::RECEIVE | Interrupts::TRANSMIT
        } else {
            Interrupts::RECEIVE
        };
        if let Some(uart) = &mut self.0 {
            uart.enable(wanted);
        }
    }

    fn acknowledge(&mut self) {
        if let Some(uart) = &mut self.0 {
            uart.clear(Interrupts::all());
        }
    }
}
