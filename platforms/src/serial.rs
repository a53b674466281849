//! The board's serial port, by the one driver that the image has: `cargo xtask build SYSTEM.toml` chooses its feature.

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

/// The port as the console uses it.
#[cfg(not(feature = "silent"))]
pub type Serial = Port;

/// The system's port.
#[cfg(not(feature = "silent"))]
pub fn of_system() -> Serial {
    // SAFETY: the device tree says that a port of this kind is there and `map` maps it. No partition owns it: the configuration compiler builds the image
    // with the feature `silent` then. `early` has driven it so far, and does so again only when this one is not used any more.
    unsafe { platforms::console::Uart::new(&crate::SYSTEM.board.console) }
}

#[cfg(feature = "silent")]
mod silent;
#[cfg(feature = "silent")]
pub use silent::{Serial, of_system};
