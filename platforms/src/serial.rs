//! The board's serial port, by the one driver that the image has: `cargo xtask build SYSTEM.toml` chooses its feature.

use hv::terminal::SerialPort;
use platforms::console::Uart;

use crate::SYSTEM;

/// The driver.
#[cfg(feature = "pl011")]
pub type Port = platforms::console::pl011::Pl011<'static>;
/// The driver.
#[cfg(feature = "cadence")]
pub type Port = platforms::console::cadence::Cadence<'static>;
/// The driver.
#[cfg(feature = "scif")]
pub type Port = platforms::console::scif::Scif<'static>;
/// The driver.
#[cfg(feature = "ns16550")]
pub type Port = platforms::console::ns16550::Ns16550;
/// The driver.
#[cfg(feature = "imx")]
pub type Port = platforms::console::imx::Imx<'static>;

/// The port as the console uses it; none when the system gives it to a partition: then nobody hears what is said after boot.
pub struct Serial(Option<Port>);

impl Serial {
    /// The system's port, unless a partition owns it.
    pub fn of_system() -> Self {
        if console_is_a_partitions() {
            return Self(None);
        }
        // SAFETY: the device tree says that a port of this kind is there and `map` maps it. `early` has driven it so far, and does so again
        // only when this one is not used any more.
        Self(Some(unsafe { Port::new(&SYSTEM.board.console) }))
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
        self.0.as_mut().is_none_or(|port| port.try_write(byte))
    }

    fn try_read(&mut self) -> Option<u8> {
        self.0.as_mut()?.try_read()
    }

    fn interrupt_on_room(&mut self, on: bool) {
        if let Some(port) = &mut self.0 {
            port.interrupt_on_room(on);
        }
    }

    fn acknowledge(&mut self) {
        if let Some(port) = &mut self.0 {
            port.acknowledge();
        }
    }
}
